"""Learning curves: accuracy and loss by epoch, of one trial or of several."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure
from dashboard.charts.palette import SERIES
from search.records import EpochRecord, TrialRecord

_DASHES = ("solid", "dot", "dash", "dashdot")


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """The epochs of one stage, and how many epochs of the trial came before them."""

    stage: str
    start: int
    epochs: Sequence[EpochRecord]


def curves_figure(trials: Sequence[TrialRecord]) -> go.Figure:
    """Accuracy above, loss below, by epoch; a stage follows on the one before.

    Several trials differ in colour, the stages of one in colour, those of several in dashes.
    """
    figure = new_figure(height=430, showlegend=True)
    for place, trial in enumerate(trials):
        for order, stretch in enumerate(_stretches(trial)):
            is_alone = len(trials) == 1
            colour = SERIES[(order if is_alone else place) % len(SERIES)]
            dash = "solid" if is_alone else _DASHES[order % len(_DASHES)]
            name = stretch.stage if is_alone else f"trial {trial.number}"
            line = {"color": colour, "width": 2, "dash": dash}
            figure.add_traces(list(_lines(stretch, trial, name=name, line=line, first=order == 0)))
    longest = max((len(trial.outcome.epochs) for trial in trials if trial.outcome), default=1)
    figure.update_layout(
        xaxis={
            "title": {"text": "Epoch"},
            "anchor": "y2",
            "rangemode": "tozero",
            # Whole epochs, and no more ticks than a phone has room for.
            "dtick": max(1, math.ceil(longest / 8)),
        },
        yaxis={
            "title": {"text": "Accuracy"},
            "tickformat": ".0%",
            "domain": [0.45, 1.0],
            "autorangeoptions": {"clipmin": 0, "clipmax": 1.02},
        },
        yaxis2={"title": {"text": "Loss"}, "domain": [0.0, 0.36], "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure


def _stretches(trial: TrialRecord) -> Iterator[_Stretch]:
    epochs = trial.outcome.epochs if trial.outcome else ()
    start = 0
    while start < len(epochs):
        stage = epochs[start].stage
        end = start
        while end < len(epochs) and epochs[end].stage == stage:
            end += 1
        yield _Stretch(stage=stage, start=start, epochs=epochs[start:end])
        start = end


def _lines(
    stretch: _Stretch, trial: TrialRecord, *, name: str, line: dict[str, object], first: bool
) -> Iterator[go.Scatter]:
    places = [stretch.start + i + 1 for i in range(len(stretch.epochs))]
    for column, axis, form in (("accuracy", "y", ".1%"), ("loss", "y2", ".4f")):
        yield go.Scatter(
            x=places,
            y=[getattr(point, column) for point in stretch.epochs],
            mode="lines+markers",
            marker={"size": 5},
            line=line,
            name=name,
            legendgroup=name,
            showlegend=column == "accuracy" and (first or not name.startswith("trial ")),
            yaxis=axis,
            hovertemplate=f"<b>Trial {trial.number}</b>, {stretch.stage}, epoch %{{x}}<br>"
            f"{column} %{{y:{form}}}<extra></extra>",
        )
