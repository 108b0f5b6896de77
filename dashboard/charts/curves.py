"""Learning curves: metric and loss by epoch, of one or several trials."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.figure import new_figure
from dashboard.charts.measures import Measure
from dashboard.charts.palette import SERIES
from search.records import EpochRecord, TrialRecord

_DASHES = ("solid", "dot", "dash", "dashdot")


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """The epochs of one stage, and the number of the trial's epochs before them."""

    stage: str
    start: int
    epochs: tuple[EpochRecord, ...]


def curves_figure(trials: Sequence[TrialRecord], score: Measure) -> go.Figure:
    """Return a figure of the metric (top) and the loss (bottom) by epoch, stage after stage.

    Several trials differ in colour, and their stages in dashes. The stages of a single trial differ
    in colour. A stage that trials share, as branches do, is drawn as one line: otherwise the last
    trial's line would hide the others.
    """
    figure = new_figure(height=430, showlegend=True)
    shared: dict[_Stretch, list[int]] = {}
    for trial in trials:
        for stretch in _stretches(trial):
            shared.setdefault(stretch, []).append(trial.number)
    owners = list(dict.fromkeys(map(_owner, shared.values())))
    stages = list(dict.fromkeys(stretch.stage for stretch in shared))
    named = set()
    for stretch, numbers in shared.items():
        owner, stage = _owner(numbers), stages.index(stretch.stage)
        name = stretch.stage if len(trials) == 1 else owner
        colour = stage if len(trials) == 1 else owners.index(owner)
        dash = "solid" if len(trials) == 1 else _DASHES[stage % len(_DASHES)]
        line = {"color": SERIES[colour % len(SERIES)], "width": 2, "dash": dash}
        lines = _lines(stretch, owner, score, name=name, line=line, is_named=name not in named)
        figure.add_traces(list(lines))
        named.add(name)
    longest = max((stretch.start + len(stretch.epochs) for stretch in shared), default=1)
    _lay_out(figure, longest, score)
    return figure


def _stretches(trial: TrialRecord) -> Iterator[_Stretch]:
    epochs = trial.outcome.epochs if trial.outcome else ()
    start = 0
    while start < len(epochs):
        stage = epochs[start].stage
        end = start
        while end < len(epochs) and epochs[end].stage == stage:
            end += 1
        yield _Stretch(stage=stage, start=start, epochs=tuple(epochs[start:end]))
        start = end


def _owner(numbers: Sequence[int]) -> str:
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _lines(
    stretch: _Stretch,
    owner: str,
    score: Measure,
    *,
    name: str,
    line: dict[str, object],
    is_named: bool,
) -> Iterator[go.Scatter]:
    places = [stretch.start + i + 1 for i in range(len(stretch.epochs))]
    rows = (
        ("score", score.name, "y", ".1%" if score.is_share else ".4g"),
        ("loss", "loss", "y2", ".4f"),
    )
    for column, title, axis, form in rows:
        yield go.Scatter(
            x=places,
            y=[getattr(point, column) for point in stretch.epochs],
            mode="lines+markers",
            marker={"size": 5},
            line=line,
            name=name,
            legendgroup=name,
            showlegend=column == "score" and is_named,
            yaxis=axis,
            hovertemplate=f"<b>{owner.capitalize()}</b>, {stretch.stage}, epoch %{{x}}<br>"
            f"{title} %{{y:{form}}}<extra></extra>",
        )


def _lay_out(figure: go.Figure, longest: int, score: Measure) -> None:
    figure.update_layout(
        xaxis={
            "title": {"text": "Epoch"},
            "anchor": "y2",
            "rangemode": "tozero",
            # Ticks at whole epochs only, and no more than fit on a phone.
            "dtick": max(1, math.ceil(longest / 8)),
        },
        yaxis={
            "title": {"text": score.title},
            "tickformat": score.tick_format,
            "domain": [0.45, 1.0],
            "autorangeoptions": {"clipmin": 0, "clipmax": 1.02} if score.is_share else {},
        },
        yaxis2={"title": {"text": "Loss"}, "domain": [0.0, 0.36], "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
