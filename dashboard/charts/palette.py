"""Colours and marks that are readable in the light and in the dark theme."""

from dataclasses import dataclass

from search.records import TrialState

FRONTIER = "#10a37f"
CHOSEN = "#f43f5e"
CLOUD = "#8796ab"
BUDGET = "#d97706"
TEACHER = "#8b5cf6"
FINALIST = "diamond"
"""The symbol of finalists with a student; others are circles."""
LOSS = "#e11d48"
RIM = "rgba(255, 255, 255, 0.7)"

SERIES = ("#2f81f7", "#10a37f", "#d97706", "#8b5cf6", "#e11d48", "#0891b2", "#a16207", "#db2777")
"""Colours of several trials or methods in one figure, in this order."""


@dataclass(frozen=True, kw_only=True)
class MarkerStyle:
    """The mark of trials in a state; `sign` is a character that looks like it."""

    name: str
    symbol: str
    colour: str
    sign: str


LOOKS = {
    TrialState.COMPLETE: MarkerStyle(name="Dominated", symbol="circle", colour=CLOUD, sign="●"),
    TrialState.INFEASIBLE: MarkerStyle(
        name="Over budget", symbol="circle-open", colour=BUDGET, sign="○"
    ),
    TrialState.STOPPED: MarkerStyle(name="Stopped", symbol="diamond-open", colour=CLOUD, sign="◇"),
    TrialState.INTERRUPTED: MarkerStyle(
        name="Interrupted", symbol="square-open", colour=CLOUD, sign="□"
    ),
    TrialState.FAILED: MarkerStyle(name="Failed", symbol="x-thin-open", colour=LOSS, sign="×"),
    TrialState.RUNNING: MarkerStyle(
        name="Running", symbol="circle-open-dot", colour="#2f81f7", sign="◉"
    ),
}
