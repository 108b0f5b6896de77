"""What the other figures draw, read from the figures."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts.agreement import agreement_figure
from dashboard.charts.curves import curves_figure
from dashboard.charts.influence import contour_figure, importance_figure, slice_figure
from dashboard.charts.measures import objective_measures
from dashboard.charts.parallel import parallel_figure
from dashboard.charts.progress import progress_figure, savings_figure
from dashboard.charts.scale import scale, short_name
from dashboard.charts.stages import stage_values, waterfall_figure
from dashboard.frames import describe_method, family, parameters_of, trial_frame, varying
from search.analysis.history import HistoryPoint
from search.analysis.savings import Savings
from search.objectives.goal import DEFAULT_GOAL
from search.records import Outcome, Scalar, StageRecord, TrialRecord, TrialState
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore
from tests.dashboard.made_studies import add_study
from tests.measured import cost, quality

OBJECTIVES = objective_measures(DEFAULT_GOAL)
ACCURACY, SIZE, LATENCY = OBJECTIVES.values()


@pytest.fixture
def trials(make_store: MakeStore) -> list[TrialRecord]:
    """Sixty trials in all states, with all that is known of them."""
    with Store.open(make_store(partial(add_study, trials=60)), read_only=True) as store:
        return store.trials("digits", whole=True)


def complete(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def numbers(figure: go.Figure) -> set[int]:
    held = (point for trace in figure.data for point in trace.customdata or () if point)
    return {int(point[0]) for point in held}


def test_curves_of_one_trial_go_on_from_stage_to_stage(trials: list[TrialRecord]) -> None:
    figure = curves_figure(complete(trials)[:1], ACCURACY)
    accuracy = [trace for trace in figure.data if trace.yaxis == "y"]
    assert [trace.name for trace in accuracy] == ["distil", "recover"]
    assert [*accuracy[0].x, *accuracy[1].x] == list(range(1, 13))


def test_curves_of_several_trials_have_a_colour_each(trials: list[TrialRecord]) -> None:
    figure = curves_figure(complete(trials)[:3], ACCURACY)
    colours = {trace.name: trace.line.color for trace in figure.data}
    assert len(set(colours.values())) == len(colours) == 3
    assert sum(bool(trace.showlegend) for trace in figure.data) == 3


def test_a_stage_that_trials_share_is_one_line_that_names_them(trials: list[TrialRecord]) -> None:
    first, second = complete(trials)[:2]
    assert first.outcome is not None
    shared = first.outcome.epochs[:8]
    other = replace(second, outcome=replace(first.outcome, epochs=shared))
    lines = [trace for trace in curves_figure([first, other], ACCURACY).data if trace.yaxis == "y"]
    assert [line.name for line in lines] == [
        f"trials {first.number}, {second.number}",
        f"trial {first.number}",
    ]


def outcome(*stages: StageRecord) -> Outcome:
    return Outcome(
        state=TrialState.STOPPED, stages=stages, quality=quality(accuracy=0.8, agreement=0.9)
    )


def test_what_is_shipped_stands_under_the_last_stage_whose_file_was_measured() -> None:
    distil = StageRecord(name="distil", seconds=1, score=0.9, cost=cost(size_bytes=400))
    quantize = StageRecord(name="quantize", seconds=1, cost=cost(size_bytes=100))
    measure = StageRecord(name="measure", seconds=1)
    made = outcome(distil, quantize, measure)
    assert stage_values(made, ACCURACY) == [("distil", 0.9), ("quantize", 0.8)]
    assert stage_values(made, SIZE) == [("distil", 400), ("quantize", 100)]
    assert stage_values(made, LATENCY) == []


def test_a_waterfall_steps_from_each_stage_to_the_next() -> None:
    distil = StageRecord(name="distil", seconds=1, score=0.9)
    prune = StageRecord(name="prune", seconds=1, score=0.5)
    figure = waterfall_figure(outcome(distil, prune), OBJECTIVES.values())
    assert figure is not None
    bars, labels = figure.data
    assert list(bars.x) == ["distil", "prune", "shipped"]
    assert list(bars.y) == pytest.approx([0.9, -0.4, 0.3])
    assert labels.text[1] == "50.0%<br>-40.0 points"
    # Above the bar, that is where the step begins if it goes down.
    assert list(labels.y) == [0.9, 0.9, 0.8]


def test_a_waterfall_needs_two_measured_stages() -> None:
    assert waterfall_figure(Outcome(state=TrialState.STOPPED), OBJECTIVES.values()) is None


def test_a_complete_trial_has_a_row_for_accuracy_size_and_latency(
    trials: list[TrialRecord],
) -> None:
    found = complete(trials)[0].outcome
    assert found is not None
    figure = waterfall_figure(found, OBJECTIVES.values())
    assert figure is not None
    assert [trace.yaxis for trace in figure.data if trace.type == "waterfall"] == ["y", "y2", "y3"]


def test_agreement_is_written_into_its_field() -> None:
    (square,) = agreement_figure(["trial 1", "teacher"], [[1, 0.5], [0.5, 1]]).data
    assert square.text[0][1] == "50.0%"
    assert square.z[0][0] is None


def test_parallel_coordinates_draw_every_measured_trial_and_what_varies(
    trials: list[TrialRecord],
) -> None:
    frame = trial_frame(trials)
    figure = parallel_figure(frame, parameters_of(trials), OBJECTIVES, marked=())
    assert figure is not None
    measured = frame[frame["accuracy"].notna() & frame["size_bytes"].notna()]
    assert numbers(figure) == set(measured["number"])
    titles = figure.layout.xaxis.ticktext
    assert "magnitude<br>ratio" in titles
    assert "training" not in titles


def test_parallel_coordinates_of_ten_thousand_draw_the_frontier_the_marked_and_300_others() -> None:
    count = 10_000
    frame = trial_frame([]).reindex(range(count))
    frame = frame.assign(
        number=range(count),
        state="complete",
        on_frontier=[number < 5 for number in range(count)],
        accuracy=0.5,
        size_bytes=1e5,
        latency_ms=1.0,
    )
    figure = parallel_figure(frame, [], OBJECTIVES, marked=[9_999])
    assert figure is not None
    drawn = numbers(figure)
    assert {0, 1, 2, 3, 4, 9_999} <= drawn
    assert len(drawn) in (305, 306)


def test_parallel_coordinates_of_one_student_are_none(trials: list[TrialRecord]) -> None:
    one = trial_frame(complete(trials)[:1])
    assert parallel_figure(one, parameters_of(trials), OBJECTIVES, marked=()) is None


def test_numbers_that_are_all_the_same_lie_in_the_middle_under_one_label() -> None:
    axis = scale(pd.Series([0.858, None]), "accuracy")
    assert axis.places[0] == 0.5
    assert list(axis.labels) == [(0.5, "85.8%")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (4, 16, ["5", "10", "15"]),
        (0.1, 0.6, ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]),
        (0.0003, 0.02, ["0.0005", "0.001", "0.002", "0.005", "0.01", "0.02"]),
        (1e-6, 1.0, ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]),
    ],
)
def test_an_axis_has_its_ticks_at_round_numbers(
    low: float, high: float, expected: list[str]
) -> None:
    axis = scale(pd.Series([low, high]), "x")
    assert [label for _, label in axis.ticks] == expected
    assert all(-0.01 <= place <= 1.01 for place, _ in axis.ticks)


def test_numbers_lie_on_an_axis_from_low_to_high_in_logarithms_where_they_span_much() -> None:
    even = scale(pd.Series([1, 2, 3, None]), "x")
    wide = scale(pd.Series([0.001, 0.01, 0.1]), "x")
    assert even.places.tolist()[:3] == [0, 0.5, 1]
    assert math.isnan(even.places[3])
    assert wide.places.tolist() == pytest.approx([0, 0.5, 1])


def test_options_lie_on_an_axis_by_name() -> None:
    axis = scale(pd.Series(["b", "a", None, True]), "x")
    assert [label for _, label in axis.labels] == ["True", "a", "b"]
    assert math.isnan(axis.places[2])


def test_parameters_that_all_trials_have_come_before_those_of_some_methods() -> None:
    frame = pd.DataFrame({"rare": [1, 2, None], "same": [1, 1, 1], "common": [1, 2, 3]})
    assert varying(frame, ["rare", "same", "common"]) == ["common", "rare"]


def test_importance_has_a_bar_for_each_objective_the_greatest_parameter_first() -> None:
    found = {"accuracy": {"a.b.low": 0.1, "a.b.high": 0.9}, "size_bytes": {"a.b.high": 1.0}}
    accuracy, size = importance_figure(found, OBJECTIVES).data
    assert list(accuracy.y) == ["b high", "b low"]
    assert list(accuracy.x) == [0.9, 0.1]
    assert list(size.x) == [1.0, 0.0]


@pytest.mark.parametrize("parameter", ["student.timm.model", "training.standard.learning_rate"])
def test_a_slice_draws_each_trial_that_has_the_parameter(
    trials: list[TrialRecord], parameter: str
) -> None:
    frame = trial_frame(trials)
    figure = slice_figure(frame, parameter, ACCURACY)
    assert figure is not None
    assert numbers(figure) == set(frame.loc[frame["accuracy"].notna(), "number"])


def test_a_slice_of_what_was_never_measured_is_none(trials: list[TrialRecord]) -> None:
    frame = trial_frame(trials).assign(accuracy=math.nan)
    assert slice_figure(frame, "student.timm.model", ACCURACY) is None


@pytest.mark.parametrize(
    ("across", "up", "kind"),
    [
        ("student.timm.model", "quantization.method", "heatmap"),
        ("student.timm.model", "pruning.magnitude.ratio", "heatmap"),
        ("training.standard.learning_rate", "pruning.magnitude.ratio", "contour"),
    ],
)
def test_a_contour_holds_means_of_the_objective_and_options_are_fields(
    trials: list[TrialRecord], across: str, up: str, kind: str
) -> None:
    frame = trial_frame(trials)
    figure = contour_figure(frame, across, up, ACCURACY)
    assert figure is not None
    assert figure.data[0].type == kind
    means = [value for row in figure.data[0].z for value in row if not math.isnan(value)]
    assert frame["accuracy"].min() <= min(means) <= max(means) <= frame["accuracy"].max()


def test_a_contour_of_two_trials_is_none(trials: list[TrialRecord]) -> None:
    frame = trial_frame(trials[:2])
    assert contour_figure(frame, "quantization.method", "student.timm.model", ACCURACY) is None


def test_progress_is_drawn_over_trials_or_hours() -> None:
    moments = [
        HistoryPoint(ended=place, hours=place / 10, best=0.5, hypervolume=0.1) for place in (1, 4)
    ]
    assert list(progress_figure(moments, "ended", ACCURACY).data[0].x) == [1, 4]
    assert list(progress_figure(moments, "hours", ACCURACY).data[1].x) == [0.1, 0.4]


def test_savings_are_one_bar_of_what_there_was() -> None:
    found = Savings(trained=10, rejected=5, stopped=0, shared=2, seconds_per_epoch=None)
    bars = savings_figure(found).data
    assert [(bar.name, bar.x[0]) for bar in bars] == [
        ("Trained", 10), ("Rejected before training", 5), ("Shared with another trial", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("mobilenetv3_small_050", "mobilenetv3"),
        ("resnet10t", "resnet"),
        ("test_vit", "test_vit"),
        ("tinynet_e", "tinynet"),
        ("vit_tiny_patch16_224", "vit"),
        ("ResNeXt", "ResNeXt"),
    ],
)
def test_a_family_is_a_students_name_without_its_size(model: str, expected: str) -> None:
    assert family({"student": "timm", "student.timm.model": model}) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"pruning": "magnitude", "pruning.magnitude.ratio": 0.341}, "magnitude 34%"),
        ({"pruning": "none"}, "none"),
        ({}, ""),
    ],
)
def test_a_choice_is_described_in_a_few_words(params: dict[str, Scalar], expected: str) -> None:
    assert describe_method(params, "pruning") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pruning.method", "pruning"),
        ("student.timm.model", "model"),
        ("distillation.soft_targets.temperature", "soft targets temperature"),
        ("size_bytes", "size"),
    ],
)
def test_a_parameter_is_named_without_its_axis(name: str, expected: str) -> None:
    assert short_name(name) == expected
