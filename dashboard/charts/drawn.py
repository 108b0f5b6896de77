"""Which trials of a frame a figure draws, and which of them stand out."""

import math
from collections.abc import Mapping

import pandas as pd

SHOWN_BESIDE_THE_FRONTIER = 2000


def within(trials: pd.DataFrame, limits: Mapping[str, float]) -> "pd.Series[bool]":
    """Which trials keep all limits that can be checked: upper ones, and a lower one on accuracy."""
    kept = pd.Series(True, index=trials.index)
    for column, bound in limits.items():
        if column == "accuracy":
            kept &= ~(trials[column] < bound)
        else:
            kept &= ~(trials[column] > bound)
    return kept


def frontier_line(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frontier's trials that no other one betters in accuracy and this cost alone, by cost.

    The frontier is of accuracy, size and latency together, so some of its trials lie below this
    line: they are better in the cost that is not drawn.
    """
    members = trials[trials["on_frontier"] & trials[column].notna()]
    members = members.sort_values([column, "accuracy"], ascending=[True, False])
    best_before = members["accuracy"].cummax().shift(fill_value=-math.inf)
    return members[members["accuracy"] > best_before]


def thinned(trials: pd.DataFrame, most: int = SHOWN_BESIDE_THE_FRONTIER) -> pd.DataFrame:
    """The frontier and at most so many others, by number."""
    others = trials[~trials["on_frontier"]]
    if len(others) <= most:
        return trials
    # The same ones at each redraw, so that a live chart does not flicker.
    kept = others.sample(most, random_state=0)
    return pd.concat([trials[trials["on_frontier"]], kept]).sort_values("number")
