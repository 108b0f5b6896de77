"""How well the ends of trainings are predicted from their first epochs, on recorded ones.

    python -m benchmarks.endings benchmarks/recipes.csv

For every epoch but the last, and for some numbers of ended trainings, it draws that number and one
more from the table at random, and predicts the end of that one. It prints a Markdown table: the
root mean square error, in logits, of the line (`search/samplers/curve_extrapolation.py`) and of an
equal gain for all; and the share of ends above the optimistic prediction, which should be a
quarter.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import numpy as np

from benchmarks.recorded_problem import read_lines
from search.samplers.curve_extrapolation import EndingLine
from search.surrogate.logit_scale import to_logits

_COUNTS = (5, 15, 40)
_DRAWS = 1000

Point = tuple[float, float]


def errors(points: Sequence[Point], count: int) -> tuple[float, float, float]:
    """Return the errors of the line and of an equal gain, and the share above the optimistic end.

    count: the number of trainings that have ended.
    """
    rng = np.random.default_rng(0)
    lines, gains, above = [], [], []
    for _ in range(_DRAWS):
        drawn = rng.choice(len(points), count + 1, replace=False)
        (reached, last), *ended = (points[place] for place in drawn)
        ending = EndingLine.through(ended).ending(reached)
        lines.append(last - ending.logit)
        gains.append(last - reached - median(end - at for at, end in ended))
        above.append(last > ending.optimistic_logit)
    return _spread(lines), _spread(gains), fmean(above)


def _spread(misses: Sequence[float]) -> float:
    return math.sqrt(fmean(miss**2 for miss in misses))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("table", type=Path)
    options = parser.parse_args(arguments)
    trainings = [line.training for line in read_lines(options.table)]
    print("| after epoch | ended before | line | same gain | above the hope |\n" + "|---" * 5 + "|")
    for epoch in range(1, max(len(one.curve) for one in trainings)):
        told = [(one.curve[epoch - 1], one.accuracy) for one in trainings if len(one.curve) > epoch]
        points = [(at, last) for at, last in to_logits(np.array(told)).tolist()]
        for count in _COUNTS:
            line, gain, above = errors(points, count)
            print(f"| {epoch} | {count} | {line:.2f} | {gain:.2f} | {above:.0%} |")


if __name__ == "__main__":
    main()
