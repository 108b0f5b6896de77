"""Legend of the marks in the figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dashboard.charts.measures import Measure
from dashboard.charts.palette import BUDGET, CHOSEN, FRONTIER, LOOKS, TEACHER
from search.records import TrialKind, TrialState


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """The meaning of a mark in the figures; `sign` is a character that looks like it."""

    name: str
    colour: str
    sign: str


def legend(
    trials: pd.DataFrame,
    objectives: Mapping[str, Measure],
    *,
    has_teacher: bool,
    has_chosen: bool = False,
) -> list[LegendEntry]:
    """Return the marks that the figures of these trials use; one legend serves all figures."""
    entries = []
    if trials["on_frontier"].any():
        entries.append(LegendEntry(name="Frontier", colour=FRONTIER, sign="●"))
    is_finalist = trials["kind"] == TrialKind.FINAL.value
    if (is_finalist & (trials["state"] == TrialState.COMPLETE.value)).any():
        entries.append(LegendEntry(name="Finalist", colour=FRONTIER, sign="◆"))
    if has_chosen:
        entries.append(LegendEntry(name="Chosen", colour=CHOSEN, sign="◎"))
    score, *costs = objectives
    is_drawn = trials[costs].notna().any(axis=1) & (trials["kind"] != TrialKind.REFIT.value)
    shown = trials[is_drawn & ~trials["on_frontier"]]
    is_ruled_out = (shown["state"] == TrialState.INFEASIBLE.value) & shown[score].isna()
    marked = set(shown.loc[~is_ruled_out, "state"])
    entries += [
        LegendEntry(name=look.name, colour=look.colour, sign=look.sign)
        for state, look in LOOKS.items()
        if state.value in marked
    ]
    if is_ruled_out.any():
        entries.append(LegendEntry(name="Over budget, never trained", colour=BUDGET, sign="|"))
    if has_teacher:
        entries.append(LegendEntry(name="Teacher", colour=TEACHER, sign="★"))
    return entries
