"""The benchmark of predicted ends, on trainings whose ends are known to follow a line."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import endings

STEEP = [(reached, 3 - reached) for reached in np.linspace(-1, 2, 60).tolist()]


def test_a_line_foresees_what_the_same_gain_for_all_misses() -> None:
    line, gain, _ = endings.errors(STEEP, 15)
    assert line < 0.3 * gain


def test_a_quarter_of_ends_is_above_the_hope_where_chance_alone_decides() -> None:
    rng = np.random.default_rng(1)
    noise = [(reached, 2 + rng.normal()) for reached in np.linspace(-1, 1, 200).tolist()]
    *_, above = endings.errors(noise, 40)
    assert above == pytest.approx(0.25, abs=0.08)


def test_it_has_rows_for_each_epoch_but_the_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_DRAWS", 5)
    endings.main([str(Path(endings.__file__).with_name("recipes.csv"))])
    rows = capsys.readouterr().out.splitlines()[2:]
    counts = ("5", "15", "40")
    assert [tuple(line[2:-2].split(" | ")[:2]) for line in rows] == [
        (epoch, count) for epoch in ("1", "2", "3") for count in counts
    ]
