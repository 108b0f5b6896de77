import json
from pathlib import Path

import pytest

from search.errors import BadInput, NoStudentFits, StoreError
from spaces.pruning.magnitude import Magnitude
from tests.messages import naming
from tests.search.cli.conftest import AddStudy, Retort
from tests.search.cli.made_outcomes import COMPLETE, FAILED
from tests.search.conftest import FinishedTrials


def test_export_writes_the_best_student_by_default(
    retort: Retort, finished: FinishedTrials, home: Path
) -> None:
    finished()
    told = json.loads(retort("export", "-o", "out", "--json").stdout)
    assert told == {"study": "stripes", "trial": 0, "folder": "out"}
    assert (home / "out/model.onnx").is_file()


def test_export_shows_a_bracketed_folder_literally(
    retort: Retort, finished: FinishedTrials
) -> None:
    finished()
    assert "[red]x" in retort("export", "0", "-o", "[red]x").stdout


def test_a_dashboard_of_a_study_that_is_not_there_is_refused(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    with pytest.raises(StoreError, match=naming("digit", "digits")):
        retort("dashboard", "--study", "digit")


def test_export_of_a_failed_trial_writes_nothing(
    retort: Retort, add_study: AddStudy, home: Path
) -> None:
    add_study(COMPLETE, FAILED)
    with pytest.raises(BadInput, match=naming(1, "digits", "failed")):
        retort("export", "1", "-o", "out")
    assert not (home / "out").exists()


def test_export_without_any_student_says_that_none_fits(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(FAILED)
    with pytest.raises(NoStudentFits, match=naming(1, "retort trials")):
        retort("export", "-o", "out")


@pytest.mark.parametrize(
    "words", [("stripes",), ("0",), ("stripes", "0"), ("0", "--study", "stripes")]
)
def test_export_takes_a_study_and_a_trials_number(
    words: tuple[str, ...], retort: Retort, finished: FinishedTrials
) -> None:
    finished()
    told = json.loads(retort("export", *words, "-o", "out", "--json").stdout)
    assert (told["study"], told["trial"]) == ("stripes", 0)


@pytest.mark.parametrize("words", [("one", "two"), ("0", "1"), ("one", "--study", "two")])
def test_export_of_two_students_at_once_is_refused(words: tuple[str, ...], retort: Retort) -> None:
    with pytest.raises(BadInput, match=naming(*words)):
        retort("export", *words, "-o", "out")


def test_export_chooses_the_best_student_within_limits(
    retort: Retort, finished: FinishedTrials
) -> None:
    finished()
    _, small = finished(pruning=Magnitude(ratio=0.7, recovery=0.5))
    assert small.outcome
    assert small.outcome.cost
    size = f"{small.outcome.cost['size_bytes']}"
    told = json.loads(retort("export", "--max-size", size, "-o", "out", "--json").stdout)
    assert told["trial"] == small.number


def test_export_where_none_is_within_the_limits_names_the_nearest_miss(
    retort: Retort, finished: FinishedTrials, home: Path
) -> None:
    finished()
    with pytest.raises(NoStudentFits, match=naming(0, "size", "1.00 KB")):
        retort("export", "--max-size", "1KB", "-o", "out")
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    "limit", [("--min", "0.5"), ("--min-accuracy", "0.5"), ("--max", "macs=1M")]
)
def test_export_of_a_trial_within_limits_is_refused(
    retort: Retort, finished: FinishedTrials, limit: tuple[str, str]
) -> None:
    finished()
    with pytest.raises(BadInput, match="limits"):
        retort("export", "0", *limit, "-o", "out")


def test_export_writes_the_formats_that_are_asked_for(
    retort: Retort, finished: FinishedTrials, home: Path
) -> None:
    finished()
    retort("export", "-o", "out", "--format", "fp16", "--format", "uint8")
    assert {"model.fp16.onnx", "model.uint8.onnx"} <= {path.name for path in Path("out").iterdir()}


def test_export_prints_the_lines_that_load_it(retort: Retort, finished: FinishedTrials) -> None:
    finished()
    told = retort("export", "-o", "out").stdout
    assert "from preprocess import labels, preprocess" in told
    assert "session.run(None" in told
