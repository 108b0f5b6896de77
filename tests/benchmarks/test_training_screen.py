"""The screening design of training, and the effects that it finds."""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.screening import conference_matrix, definitive_design, effects, report
from benchmarks.training_screen import COLUMNS, FACTORS, STUDENTS, left_of, runs_of
from spaces.training.standard import Standard
from tests.messages import naming

DESIGN = definitive_design(conference_matrix(11))
ALIKE = np.zeros(len(DESIGN))


def _options(folder: Path, **changes: object) -> argparse.Namespace:
    plain = {"data": folder, "cache": folder, "images": 100, "epochs": 25, "seeds": 1}
    return argparse.Namespace(**{**plain, "students": STUDENTS, "set": [], **changes})


def test_a_conference_matrix_has_orthogonal_rows() -> None:
    for prime in (3, 7, 11):
        matrix = conference_matrix(prime)
        assert np.array_equal(matrix @ matrix.T, prime * np.eye(prime + 1))
        assert not matrix.diagonal().any()


def test_main_effects_are_independent_of_each_other_of_curvatures_and_of_interactions() -> None:
    assert DESIGN.shape == (25, 12)
    assert np.array_equal(DESIGN.T @ DESIGN, 22 * np.eye(12))
    for one, other in itertools.product(range(12), repeat=2):
        assert not (DESIGN.T @ (DESIGN[:, one] * DESIGN[:, other])).any()


def test_effects_are_those_of_the_model_that_gave_the_results() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 75)
    levels = np.tile(DESIGN, (3, 1))
    blocks = np.repeat(["a", "b", "c"], 25)
    means = np.repeat([0.6, 0.7, 0.9], 25)
    results = means + 0.02 * levels[:, 0] - 0.03 * levels[:, 1] ** 2 + noise
    found = effects(levels, results, blocks)
    assert found[0].change == pytest.approx(0.04, abs=3 * found[0].change_error)
    assert found[1].middle == pytest.approx(0.03, abs=3 * found[1].middle_error)
    assert abs(found[5].change) < 3 * found[5].change_error
    # Twice the standard deviation, divided by the root of 66 runs at an end.
    flat = effects(levels, means + noise, blocks)
    assert flat[0].change_error == pytest.approx(2 * 0.01 / 66**0.5, rel=0.2)


def test_effects_need_more_runs_than_they_have_terms() -> None:
    with pytest.raises(ValueError, match=naming(13, 12)):
        effects(DESIGN[:12], ALIKE[:12], ALIKE[:12])


def test_each_student_has_each_run_of_the_design_and_a_valid_recipe(tmp_path: Path) -> None:
    runs = runs_of(_options(tmp_path))
    assert len(runs) == 3 * 25
    assert [run.student for run in runs[:3]] == [*STUDENTS]
    for run in runs:
        assert run.recipe.conflict() is None
        assert isinstance(run.recipe.training, Standard)
    centre = runs[-3]
    assert centre.values == {name: values[1] for name, values in FACTORS.items()}
    assert centre.recipe.training.learning_rate == pytest.approx(0.01)
    faster = next(run for run in runs if run.values["learning_rate"] == 3.0)
    batch = int(faster.values["batch_size"])
    assert faster.recipe.training.learning_rate == pytest.approx(0.03 * (batch / 64) ** 0.5)


def _lines(folder: Path, **changes: object) -> list[dict[str, str]]:
    """Lines of all runs, of which batches of 128 cost two points and the last has failed."""
    lines = []
    for run in runs_of(_options(folder, **changes)):
        values = {"student": run.student, "run": run.number, "seed": run.seed, **run.values}
        level = run.levels[[*FACTORS].index("batch_size")]
        told = {"epochs": run.epochs, "accuracy": 0.8 - 0.01 * level, "failure": ""}
        lines.append({key: str({**values, **told}.get(key, "")) for key in COLUMNS})
    lines[-1] |= {"accuracy": "", "failure": "diverged"}
    return lines


def test_runs_that_the_csv_holds_are_left_out(tmp_path: Path) -> None:
    runs, lines = runs_of(_options(tmp_path)), _lines(tmp_path)
    assert left_of(runs, lines[:10]) == runs[10:]
    assert left_of(runs, lines) == []


def test_a_csv_of_other_runs_is_refused(tmp_path: Path) -> None:
    lines = _lines(tmp_path, epochs=5)
    with pytest.raises(ValueError, match=naming("test_resnet", 25, 5)):
        left_of(runs_of(_options(tmp_path)), lines)


def test_the_report_names_what_matters_and_what_failed(tmp_path: Path) -> None:
    text = report(_lines(tmp_path), FACTORS)
    assert text[0] == "74 runs, and 1 that failed"
    assert text[1] == "- test_vit, run 24: diverged"
    first = text[text.index("**all students**") + 4]
    assert first.startswith("| batch_size | 32, 64, 128 | **-2.00 ± 0.00** |")
