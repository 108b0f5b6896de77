"""What the figures draw, read from the figures."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts.cloud import cloud_figure, cloud_points
from dashboard.charts.drawn import frontier_line, within
from dashboard.charts.legend import legend
from dashboard.charts.measures import Measure, limit_measure, metric_measure, objective_measures
from dashboard.frames import trial_frame
from search.analysis.pareto import frontier
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.limits import LATENCY as LATENCY_LIMIT
from search.objectives.limits import SIZE as SIZE_LIMIT
from search.records import Outcome, TeacherRecord, TrialRecord, TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore
from tests.dashboard.made_studies import TEACHER, add_study
from tests.measured import cost, quality

SCORE = metric_measure(DEFAULT_GOAL.metric)
SIZE, LATENCY = limit_measure(SIZE_LIMIT), limit_measure(LATENCY_LIMIT)
OBJECTIVES = objective_measures(DEFAULT_GOAL)


def trials_of(url: str) -> list[TrialRecord]:
    with Store.open(url, read_only=True) as store:
        return store.trials("digits")


def picture(
    frame: pd.DataFrame,
    axis: Measure,
    *,
    limits: Mapping[str, float],
    teacher: TeacherRecord | None,
    chosen: int | None = None,
) -> go.Figure:
    points = cloud_points(frame, axis, OBJECTIVES)
    return cloud_figure(points, axis, SCORE, limits=limits, teacher=teacher, chosen=chosen)


def traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data if trace.name}


def numbers(trace: go.Scatter) -> set[int]:
    return {int(point[0]) for point in trace.customdata}


@pytest.mark.parametrize("axis", [SIZE, LATENCY], ids=lambda axis: axis.column)
def test_the_frontier_that_is_drawn_is_that_of_the_search(
    make_store: MakeStore, axis: Measure
) -> None:
    trials = trials_of(make_store(add_study))
    figure = picture(trial_frame(trials), axis, limits={}, teacher=None)
    assert numbers(traces(figure)["Frontier"]) == {
        trial.number for trial in frontier(trials, DEFAULT_GOAL)
    }


def test_students_on_the_frontier_have_their_intervals(make_store: MakeStore) -> None:
    frame = trial_frame(trials_of(make_store(add_study)))
    chosen = int(frame.loc[frame["on_frontier"], "number"].iloc[0])
    drawn = traces(picture(frame, SIZE, limits={}, teacher=None, chosen=chosen))
    by_number = frame.set_index("number")["reach"]
    bars = drawn["Frontier"]
    for (number, hover), reach in zip(bars.customdata, bars.error_y.array, strict=True):
        assert reach == by_number[number] > 0
        assert f"± {SCORE.label(reach)}" in hover
    assert list(drawn["Chosen"].error_y.array) == [by_number[chosen]]


def test_the_line_of_the_frontier_rises_with_the_cost(make_store: MakeStore) -> None:
    line = frontier_line(trial_frame(trials_of(make_store(add_study))), "latency_ms", SCORE)
    assert len(line) > 2
    assert line["latency_ms"].is_monotonic_increasing
    assert line["accuracy"].is_monotonic_increasing


def test_every_trial_of_known_cost_is_drawn_once(make_store: MakeStore) -> None:
    frame = trial_frame(trials_of(make_store(add_study)))
    figure = picture(frame, SIZE, limits={}, teacher=None)
    drawn = sorted(int(p[0]) for t in figure.data if t.customdata is not None for p in t.customdata)
    assert drawn == frame["number"].tolist()


def test_trials_without_accuracy_stand_under_the_axis(make_store: MakeStore) -> None:
    failed = partial(add_study, trials=4, only=TrialState.FAILED)
    figure = picture(trial_frame(trials_of(make_store(failed))), SIZE, limits={}, teacher=None)
    assert traces(figure)["Failed"].yaxis == "y2"


def test_the_legend_names_what_is_drawn_and_nothing_else(make_store: MakeStore) -> None:
    failed = partial(add_study, trials=4, only=TrialState.FAILED)
    entries = legend(trial_frame(trials_of(make_store(failed))), OBJECTIVES, has_teacher=True)
    assert [entry.name for entry in entries] == ["Failed", "Teacher"]


def test_the_budget_is_drawn_at_its_bound() -> None:
    figure = picture(trial_frame([]), SIZE, limits={"size_bytes": 600_000}, teacher=TEACHER)
    line = figure.layout.shapes[0]
    (note,) = figure.layout.annotations
    assert (line.x0, line.x1) == (600_000, 600_000)
    assert note.x == pytest.approx(math.log10(600_000))
    assert note.text == "budget 600 KB"


def test_the_range_holds_budget_and_teacher() -> None:
    figure = picture(trial_frame([]), SIZE, limits={"size_bytes": 1_000}, teacher=TEACHER)
    low, high = figure.layout.xaxis.range
    assert low < math.log10(1_000)
    assert high > math.log10(TEACHER.cost["size_bytes"])


def with_accuracies(*accuracies: float) -> pd.DataFrame:
    frame = trial_frame(many(len(accuracies)))
    return frame.assign(accuracy=accuracies)


def test_accuracies_far_below_the_rest_do_not_press_it_into_a_line() -> None:
    figure = picture(
        with_accuracies(0.15, 0.97, 0.98, 0.985, 0.99, 0.99), SIZE, limits={}, teacher=None
    )
    low, high = figure.layout.yaxis.range
    assert 0.9 < low < 0.97
    assert high > 0.99
    assert [note.text for note in figure.layout.annotations] == [
        "↓ 1 trial lies below: double-click to show"
    ]


def test_accuracies_that_spread_evenly_are_all_within_the_axis() -> None:
    figure = picture(with_accuracies(0.2, 0.4, 0.6, 0.8, 0.95), SIZE, limits={}, teacher=None)
    low, high = figure.layout.yaxis.range
    assert low < 0.2
    assert high > 0.95
    assert not figure.layout.annotations


def test_the_axis_reaches_the_teacher_and_the_least_accuracy_that_is_asked_for() -> None:
    limits = {"accuracy": 0.5}
    figure = picture(with_accuracies(0.6, 0.61, 0.62), SIZE, limits=limits, teacher=TEACHER)
    low, high = figure.layout.yaxis.range
    assert low < 0.5
    assert high > TEACHER.quality["accuracy"].value


def test_where_nothing_has_an_accuracy_the_axis_ends_at_all() -> None:
    figure = picture(trial_frame([]), SIZE, limits={}, teacher=None)
    assert tuple(figure.layout.yaxis.range) == (0.0, 1.0)


def test_the_budgets_label_stays_in_the_picture_wherever_its_line_is() -> None:
    tight, wide = (
        picture(trial_frame([]), SIZE, limits={"size_bytes": bound}, teacher=TEACHER)
        for bound in (1_000, 40_000_000)
    )
    assert tight.layout.annotations[0].xanchor == "left"
    assert wide.layout.annotations[0].xanchor == "right"


def test_the_teacher_is_a_star_that_selects_no_trial() -> None:
    star = traces(picture(trial_frame([]), SIZE, limits={}, teacher=TEACHER))["Teacher"]
    assert star.marker.symbol == "star"
    assert star.customdata is None


def test_trials_beyond_a_limit_fade(make_store: MakeStore) -> None:
    frame = trial_frame(trials_of(make_store(add_study)))
    limits = {"size_bytes": 100_000.0, "accuracy": 0.8}
    kept = set(frame.loc[within(frame, limits), "number"])
    frontier = traces(picture(frame, SIZE, limits=limits, teacher=None))["Frontier"]
    bright = {
        int(point[0])
        for point, opacity in zip(frontier.customdata, frontier.marker.opacity, strict=True)
        if opacity == 1
    }
    assert bright == numbers(frontier) & kept
    assert 0 < len(bright) < len(numbers(frontier))


def test_the_chosen_trial_has_a_ring(make_store: MakeStore) -> None:
    frame = trial_frame(trials_of(make_store(add_study)))
    number = int(frame.loc[frame["on_frontier"], "number"].iloc[0])
    figure = picture(frame, SIZE, limits={}, teacher=None, chosen=number)
    assert list(traces(figure)["Chosen"].y) == [frame["accuracy"].iloc[number]]


def many(count: int) -> list[TrialRecord]:
    """Complete trials, five of them on the frontier."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        TrialRecord(
            study="digits",
            number=number,
            state=TrialState.COMPLETE,
            params={"student": '<a href="javascript:alert(1)">x</a>'},
            seed=0,
            started_at=now,
            finished_at=now,
            outcome=Outcome(
                state=TrialState.COMPLETE,
                cost=cost(size_bytes=number + 1, parameters=1, macs=1, latency_ms=1.0),
                quality=quality(accuracy=min(number, 4) / 4, agreement=0.5),
            ),
        )
        for number in range(count)
    ]


def test_of_ten_thousand_trials_the_frontier_and_two_thousand_others_are_drawn() -> None:
    figure = picture(trial_frame(many(10_000)), SIZE, limits={}, teacher=None)
    assert numbers(traces(figure)["Frontier"]) == {0, 1, 2, 3, 4}
    assert len(traces(figure)["Dominated"].x) == 2_000


def test_what_others_wrote_is_escaped_in_the_hover_text() -> None:
    figure = picture(trial_frame(many(6)), SIZE, limits={}, teacher=None)
    assert "<a" not in traces(figure)["Dominated"].customdata[0][1]
    assert "&lt;a" in traces(figure)["Dominated"].customdata[0][1]
