"""The yardsticks: their study files, and the rows of their results."""

from pathlib import Path

import pytest

from benchmarks.yardsticks import curves, rows
from search.config.loader import load_study
from search.config.study import Study

_FOLDER = Path(rows.__file__).parent
_NAMES = sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def _study(name: str) -> Study:
    return load_study(_FOLDER / f"{name}.yaml")


def _row(student: str, accuracy: float) -> dict[str, str]:
    values = dict.fromkeys(rows.COLUMNS, "1")
    return {**values, "data": "gtsrb", "student": student, "test_accuracy": str(accuracy)}


@pytest.mark.parametrize("name", _NAMES)
def test_a_yardstick_is_a_study_with_finalists_and_limits(name: str) -> None:
    study = _study(name)
    assert study.study == name
    assert study.final
    assert study.final.epochs
    assert study.budget.limits()


def test_a_row_is_appended_once(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    assert rows.append_new(file, iter([_row("a", 0.9)])) == 1
    assert rows.append_new(file, iter([_row("a", 0.9), _row("b", 0.95)])) == 1
    assert [row["student"] for row in rows.read(file)] == ["a", "b"]


def test_the_table_has_the_most_accurate_first(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    other = {**_row("c", 0.99), "data": "fashion_mnist"}
    rows.append_new(file, iter([_row("a", 0.9), _row("b", 0.95), other]))
    _, _, *lines = rows.table(file, "gtsrb")
    assert [line.split(" | ")[0] for line in lines] == ["| b", "| a"]


def test_the_curves_of_a_yardstick_are_drawn(tmp_path: Path) -> None:
    file, picture = tmp_path / "curves.csv", tmp_path / "curves.png"
    lines = [
        dict(
            zip(curves.COLUMNS, ("gtsrb", "a", "0", "distil", str(epoch), "1", "0.9"), strict=True)
        )
        for epoch in range(1, 9)
    ]
    assert curves.append_curves(file, iter(lines)) == 8
    assert curves.append_curves(file, iter(lines)) == 0
    curves.draw(file, "gtsrb", picture)
    assert picture.stat().st_size > 10_000
