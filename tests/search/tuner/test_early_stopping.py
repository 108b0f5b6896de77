from dataclasses import replace

import pytest

from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.objectives.metrics import ACCURACY
from search.records import Cost, Measurement, Outcome, TrialState
from search.tuner.early_stopping import EarlyStopping
from tests.measured import cost, quality
from tests.messages import naming

CHEAP, DEAR = 100, 200


def _cost(size_bytes: int, latency_ms: float | None = 1.0) -> Cost:
    return cost(size_bytes=size_bytes, parameters=1, macs=1, latency_ms=latency_ms)


def _student(accuracy: float, cost: Cost, *, feasible: bool = True, images: int = 1000) -> Outcome:
    state = TrialState.COMPLETE if feasible else TrialState.INFEASIBLE
    return Outcome(state=state, cost=cost, quality=quality(accuracy=accuracy, images=images))


def _finish(
    early_stopping: EarlyStopping,
    trial: int,
    early: float,
    late: float,
    cost: Cost,
    *,
    images: int = 1000,
) -> None:
    """A trial that runs to its end: its accuracy after a quarter, and that of its student."""
    early_stopping.should_stop(trial, share=0.25, utility=early, cost=cost)
    early_stopping.finish(trial, _student(late, cost, images=images))


@pytest.fixture
def early_stopping() -> EarlyStopping:
    """Three trials that halved their error after the first quarter; all cost the same."""
    known = EarlyStopping(DEFAULT_GOAL)
    for trial, early in enumerate((0.80, 0.82, 0.84)):
        _finish(known, trial, early, (1 + early) / 2, _cost(CHEAP))
    return known


def test_a_trial_that_a_cheaper_one_leaves_behind_is_hopeless(
    early_stopping: EarlyStopping,
) -> None:
    # It may reach about 80%, half of its error; the best of the others has 92%.
    reason = early_stopping.should_stop(9, share=0.25, utility=0.6, cost=_cost(DEAR))
    assert reason is not None
    assert "60.00% after 25%" in reason
    assert "79.5" in reason
    assert "a student of trial 2 that costs no more has 92.00%" in reason


def test_a_trial_that_may_still_catch_up_goes_on(early_stopping: EarlyStopping) -> None:
    # Behind now, but it may reach 91.5%, which chance can't tell from 92%.
    assert early_stopping.should_stop(9, share=0.25, utility=0.83, cost=_cost(DEAR)) is None


def test_a_small_student_survives_a_larger_more_accurate_one(early_stopping: EarlyStopping) -> None:
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(CHEAP - 1)) is None


def test_a_fast_student_survives_smaller_but_slower_ones(early_stopping: EarlyStopping) -> None:
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR, 0.5)) is None


def test_latencies_within_their_noise_are_equal(early_stopping: EarlyStopping) -> None:
    assert (
        early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR, 0.97)) is not None
    )


def test_fewer_validation_images_widen_the_margin() -> None:
    few = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(few, trial, 0.8, 0.9, _cost(CHEAP), images=20)
    assert few.should_stop(9, share=0.25, utility=0.6, cost=_cost(DEAR)) is None


def test_nobody_stops_before_three_trials_ended() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial in range(2):
        _finish(early_stopping, trial, 0.8, 0.9, _cost(CHEAP))
    assert early_stopping.should_stop(8, share=0.25, utility=0.1, cost=_cost(DEAR)) is None


def test_a_steep_curve_gives_the_slow_a_longer_hope() -> None:
    steep = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(steep, trial, 0.2, 0.98, _cost(CHEAP))
    assert steep.should_stop(9, share=0.25, utility=0.2, cost=_cost(DEAR)) is None


def test_where_early_accuracies_tell_nothing_of_the_last_a_slow_start_is_no_end() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial, early in enumerate((0.74, 0.66, 0.70, 0.62, 0.72, 0.68) * 3):
        _finish(early_stopping, trial, early, 0.81, _cost(CHEAP), images=3000)
    assert early_stopping.should_stop(9, share=0.25, utility=0.55, cost=_cost(DEAR)) is None


@pytest.mark.parametrize("share", [0.2, 0.3])
def test_between_rungs_nobody_stops(early_stopping: EarlyStopping, share: float) -> None:
    assert early_stopping.should_stop(9, share=0.25, utility=0.83, cost=_cost(DEAR)) is None
    assert early_stopping.should_stop(9, share=share, utility=0.1, cost=_cost(DEAR)) is None


def test_nobody_stops_at_the_end(early_stopping: EarlyStopping) -> None:
    assert early_stopping.should_stop(9, share=1.0, utility=0.1, cost=_cost(DEAR)) is None


def test_a_student_of_unknown_latency_leaves_no_timed_trial_behind() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(early_stopping, trial, 0.8, 0.9, _cost(CHEAP, None))
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR)) is None


def test_a_trial_whose_own_latency_is_not_known_is_left_behind_by_no_timed_one(
    early_stopping: EarlyStopping,
) -> None:
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR, None)) is None


def test_where_no_latency_is_known_bytes_decide() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(early_stopping, trial, 0.8, 0.9, _cost(CHEAP, None))
    assert (
        early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR, None)) is not None
    )


def test_trials_of_other_numbers_of_epochs_tell_what_may_be_gained(
    early_stopping: EarlyStopping,
) -> None:
    # Three of eleven epochs: the others were looked at after a quarter of theirs.
    assert early_stopping.should_stop(8, share=3 / 11, utility=0.6, cost=_cost(DEAR)) is not None
    assert early_stopping.should_stop(9, share=3 / 11, utility=0.83, cost=_cost(DEAR)) is None


def test_what_came_later_tells_nothing_of_an_earlier_point() -> None:
    late = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        late.note(trial, share=0.5, utility=0.8)
        late.finish(trial, _student(0.9, _cost(CHEAP)))
    assert late.should_stop(9, share=0.25, utility=0.1, cost=_cost(DEAR)) is None


def test_a_trial_without_any_error_is_no_division_by_zero() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(early_stopping, trial, 1.0, 1.0, _cost(CHEAP))
    assert early_stopping.should_stop(9, share=0.25, utility=0.5, cost=_cost(DEAR)) is not None


def test_what_compression_takes_away_is_part_of_what_a_trial_may_hope_for() -> None:
    lossy = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        _finish(lossy, trial, 0.8, 0.6, _cost(DEAR))
    lossy.finish(0, _student(0.7, _cost(CHEAP)), branch=True)
    # At 75% now it is ahead of 70%, but such errors doubled with the others.
    assert lossy.should_stop(9, share=0.25, utility=0.75, cost=_cost(CHEAP)) is not None
    # No error is more than all, though twice that of one at chance would be.
    assert lossy.should_stop(10, share=0.25, utility=0.1, cost=_cost(CHEAP)) is not None


def test_a_branch_can_leave_a_trial_behind_but_tells_nothing_of_gains(
    early_stopping: EarlyStopping,
) -> None:
    early_stopping.finish(0, _student(0.99, _cost(CHEAP - 50)), branch=True)
    assert (
        early_stopping.should_stop(9, share=0.25, utility=0.83, cost=_cost(CHEAP - 1)) is not None
    )


def test_a_running_trial_leaves_nobody_behind(early_stopping: EarlyStopping) -> None:
    early_stopping.should_stop(8, share=0.25, utility=0.99, cost=_cost(CHEAP - 50))
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(CHEAP - 1)) is None


def test_a_student_over_the_budget_stops_no_trial() -> None:
    def reason(*, feasible: bool) -> str | None:
        early_stopping = EarlyStopping(DEFAULT_GOAL)
        for trial in range(3):
            early_stopping.should_stop(trial, share=0.25, utility=0.8, cost=_cost(CHEAP))
            early_stopping.finish(trial, _student(0.9, _cost(CHEAP), feasible=feasible))
        return early_stopping.should_stop(9, share=0.25, utility=0.5, cost=_cost(DEAR))

    assert reason(feasible=True) is not None
    assert reason(feasible=False) is None


def test_for_the_sake_of_a_student_whose_error_is_not_known_none_stops() -> None:
    early_stopping = EarlyStopping(DEFAULT_GOAL)
    for trial in range(3):
        student = replace(_student(0.9, _cost(CHEAP)), quality={"accuracy": Measurement(0.9)})
        early_stopping.should_stop(trial, share=0.25, utility=0.8, cost=_cost(CHEAP))
        early_stopping.finish(trial, student)
    assert early_stopping.should_stop(9, share=0.25, utility=0.3, cost=_cost(DEAR)) is None


@pytest.mark.parametrize("stops", [True, False])
def test_costs_that_are_compared_are_the_goals(stops: bool) -> None:
    goal = Goal.of("accuracy", ["macs"] if stops else ["macs", "parameters"])
    early_stopping = EarlyStopping(goal)
    for trial in range(3):
        _finish(early_stopping, trial, 0.8, 0.9, cost(macs=100, parameters=100))
    dear = cost(macs=200, parameters=50)
    reason = early_stopping.should_stop(9, share=0.25, utility=0.3, cost=dear)
    assert (reason is not None) is stops


def test_a_metric_of_which_less_is_better_is_shown_in_its_own_unit() -> None:
    loss = replace(ACCURACY, name="loss", best=0.0, worst=4.0, format="{:.2f} nats".format)
    early_stopping = EarlyStopping(replace(DEFAULT_GOAL, metric=loss))
    for trial in range(3):
        early_stopping.note(trial, share=0.25, utility=loss.utility(0.8))
        student = _student(0.5, _cost(CHEAP))
        early_stopping.finish(trial, replace(student, quality={"loss": Measurement(0.4, 0.01)}))
    reason = early_stopping.should_stop(9, share=0.25, utility=loss.utility(3.0), cost=_cost(DEAR))
    assert reason is not None
    assert "3.00 nats after 25%" in reason
    assert reason.endswith("0.40 nats")


class TestFloors:
    """Students within the budget come before all others, whatever their metric."""

    FLOORS = Budget.model_validate({"recall": {"stop": 0.9}}).floors()

    def _known(self, recalls: tuple[float, ...], *, met: tuple[bool, ...]) -> EarlyStopping:
        """Trials that end with these recalls, of equal accuracies; some are within the budget."""
        known = EarlyStopping(DEFAULT_GOAL, self.FLOORS)
        for trial, (recall, is_met) in enumerate(zip(recalls, met, strict=True)):
            known.note(trial, share=0.25, utility=0.8, floors={"recall.stop": recall - 0.1})
            found = quality(accuracy=0.9) | {"recall.stop": Measurement(recall, 0.01)}
            violation = {"recall.stop": -0.01 if is_met else 0.01}
            known.finish(
                trial, replace(_student(0.9, _cost(CHEAP)), quality=found, violations=violation)
            )
        return known

    def _reason(self, known: EarlyStopping, utility: float, recall: float) -> str | None:
        floors = {"recall.stop": recall}
        return known.should_stop(9, share=0.25, utility=utility, cost=_cost(DEAR), floors=floors)

    def test_a_student_that_breaks_a_floor_stops_no_trial(self) -> None:
        assert self._reason(self._known((0.5, 0.5, 0.5), met=(False,) * 3), 0.3, 0.9) is None

    def test_a_student_within_the_budget_stops_a_worse_trial_that_meets_the_floor(self) -> None:
        reason = self._reason(self._known((0.95, 0.5, 0.5), met=(True, False, False)), 0.3, 0.95)
        assert reason is not None
        assert "30.00% after 25%" in reason
        assert "trial 0" in reason

    def test_a_better_trial_stops_if_it_can_not_be_expected_to_meet_a_floor(self) -> None:
        known = self._known((0.95, 0.9, 0.92), met=(True, False, False))
        reason = self._reason(known, 0.97, 0.2)
        assert reason is not None
        assert naming("recall of stop 20.00%", "at least 90.00%", "trial 0").search(reason)

    def test_a_trial_near_the_floor_goes_on(self) -> None:
        known = self._known((0.95, 0.9, 0.92), met=(True, False, False))
        assert self._reason(known, 0.97, 0.8) is None

    def test_no_trial_stops_at_a_floor_that_no_student_meets_yet(self) -> None:
        known = self._known((0.5, 0.5, 0.5), met=(False,) * 3)
        assert self._reason(known, 0.97, 0.2) is None

    def test_a_trial_whose_value_is_unknown_is_judged_by_the_metric_alone(self) -> None:
        known = self._known((0.95, 0.9, 0.92), met=(True, False, False))
        assert known.should_stop(9, share=0.25, utility=0.97, cost=_cost(DEAR)) is None
