"""Selection of the trials that a figure draws and of those that it highlights."""

import math
from collections.abc import Mapping

import pandas as pd

from dashboard.charts.measures import Measure, is_at_most

SHOWN_BESIDE_THE_FRONTIER = 2000


def within(trials: pd.DataFrame, limits: Mapping[str, float]) -> "pd.Series[bool]":
    """Return which trials keep all limits on costs and floors; an unknown value breaks none."""
    kept = pd.Series(True, index=trials.index)
    for column, bound in limits.items():
        values = trials[column]
        kept &= ~(values > bound if is_at_most(column) else values < bound)
    return kept


def frontier_line(trials: pd.DataFrame, column: str, score: Measure) -> pd.DataFrame:
    """Return the frontier's trials that are undominated in the metric and this cost, by cost.

    The frontier covers all objectives, so some of its trials lie below this line: they are better
    in a cost that is not drawn.
    """
    members = trials[trials["on_frontier"] & trials[column].notna()]
    sign = 1.0 if score.is_maximized else -1.0
    worth = sign * members[score.column]
    members = members.assign(worth=worth).sort_values([column, "worth"], ascending=[True, False])
    best_before = members["worth"].cummax().shift(fill_value=-math.inf)
    return members[members["worth"] > best_before].drop(columns="worth")


def thinned(trials: pd.DataFrame, most: int = SHOWN_BESIDE_THE_FRONTIER) -> pd.DataFrame:
    """Return the frontier and at most `most` other trials, by number."""
    others = trials[~trials["on_frontier"]]
    if len(others) <= most:
        return trials
    # The same trials at each redraw, so that a live chart does not flicker.
    kept = others.sample(most, random_state=0)
    return pd.concat([trials[trials["on_frontier"]], kept]).sort_values("number")
