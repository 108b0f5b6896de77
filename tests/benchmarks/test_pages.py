"""Tables that benchmarks make of what they measured."""

from pathlib import Path

import pytest

from benchmarks.arms import read, table
from benchmarks.catalogue import FILE, YES, Row, candidates, read_rows, write_rows
from benchmarks.catalogue_page import PAGE, page
from benchmarks.samplers import rows
from benchmarks.samplers.problems import PROBLEMS
from benchmarks.time_to_frontier import report, results, runs
from search.config.loader import load_study

_VERDICTS = ("trains", "prunes_25", "prunes_50", "prunes_75", "exports", "quantizes")


def _row(model: str, **changes: object) -> Row:
    works = dict.fromkeys(_VERDICTS, YES)
    return Row(model, "resnet", YES, **{**works, "left_50": 0.25, **changes})  # type: ignore[arg-type]


def _line(seed: int, accuracy: float, failure: str = "") -> dict[str, str]:
    costs = {"size_bytes": "1000", "latency_ms": "0.5", "macs": "2000"}
    arm = {"group": "pruning", "arm": "magnitude", "seed": str(seed), "failure": failure}
    return {**arm, **costs, "accuracy": str(accuracy)}


def test_an_arm_has_its_mean_and_its_spread_over_seeds() -> None:
    *_, row = table([_line(0, 0.8), _line(1, 0.9), _line(2, 0.85)])
    assert row == "| pruning | magnitude | 3 | 85.00% ± 5.00% | 1,000 | 0.500 | 2,000 |"


def test_an_arm_that_never_ended_shows_why() -> None:
    *_, row = table([_line(0, 0.0, failure="needs two teachers")])
    assert row == "| pruning | magnitude | 0 of 1 | needs two teachers | | | |"


def test_the_catalogue_counts_what_works_and_names_what_does_not() -> None:
    rows = [_row("resnet18"), _row("resnet26", prunes_75="ValueError: no | way")]
    text = page(rows, lacking=3)
    assert "**3 of 5 models have not been tried yet.**" in text
    assert "1 of 2 (50%)" in text
    assert "| resnet | 2 | 2 | 1 | 2 | 2 | 1 | 25% |" in text
    assert "| resnet | 1 | prunes at 75 | ValueError: no \\| way |" in text


def test_rows_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    rows = [_row("resnet18", parameters=5, float_ms=0.5), _row("resnet26", trains="no, never")]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv") == rows


@pytest.mark.parametrize(
    ("shown", "measured"),
    [
        ("ablation.md", "ablation.csv"),
        ("methods.md", "methods.csv"),
        ("methods.md", "methods_convnext.csv"),
        ("training.md", "training.csv"),
    ],
)
def test_a_page_shows_what_was_measured(shown: str, measured: str) -> None:
    lines = table(read(FILE.with_name(measured)))
    assert len(lines) > 2
    assert "\n".join(lines) in (PAGE.parent / shown).read_text()


@pytest.mark.parametrize("problem", [name for name in PROBLEMS if name.startswith("nasbench201")])
def test_the_page_of_samplers_shows_the_runs_of_each_problem(problem: str) -> None:
    lines = rows.table([one for one in rows.read(rows.ROWS) if one["problem"] == problem])
    assert len(lines) > 2
    assert "\n".join(lines) in (PAGE.parent / "samplers.md").read_text()


def test_the_catalogues_page_is_that_of_its_rows() -> None:
    rows = read_rows(FILE)
    assert PAGE.read_text() == page(rows, lacking=len(candidates()) - len(rows))


def test_the_tables_of_the_time_to_the_frontier_are_those_of_its_runs() -> None:
    folder = Path(results.__file__).parent
    terms = runs.Terms(minutes=10, share=0.2)
    budget = load_study(folder / "problem.yaml").budget
    found = report.comparisons(results.read_traces(folder), terms, budget)
    text = (PAGE.parent / "time_to_frontier.md").read_text()
    assert len(found) == 3
    assert [one for one in found if report.table(one) not in text] == []
