"""What holds for a store of either kind: studies and trials are kept, whole or not at all."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from search.errors import ImpossibleValue, NotFinite, StoreError
from search.records import (
    ArtifactRecord,
    Branch,
    EpochRecord,
    FailureRecord,
    Measurement,
    Outcome,
    Purpose,
    StageRecord,
    StudyState,
    TeacherRecord,
    TrialKind,
    TrialState,
)
from search.storage import rows
from search.storage.leases import beating, take
from search.storage.storage import Store
from search.storage.tables import StudyRow, Table
from tests.measured import LOSS, cost, quality
from tests.messages import naming

COST = cost(
    size_bytes=1_000_000, parameters=250_000, macs=9_000_000, latency_ms=1.25, latency_p95_ms=1.5
)
COMPLETE = Outcome(
    state=TrialState.COMPLETE,
    cost=COST,
    quality=quality(accuracy=0.9, agreement=0.95),
    violations={"size_bytes": -0.5},
    artifact=ArtifactRecord(path="trial-0", sha256="ab" * 32),
    stages=(
        StageRecord(name="distil", seconds=2.5, score=0.91, cost=cost(parameters=500_000)),
        StageRecord(
            name="quantize",
            seconds=0.5,
            score=0.9,
            no_op="the file is no smaller",
            cost=cost(size_bytes=1_000_000, latency_ms=1.25),
        ),
    ),
    epochs=(
        EpochRecord(stage="distil", epoch=0, loss=1.5, score=0.6, learning_rate=1e-3),
        EpochRecord(
            stage="distil",
            epoch=1,
            loss=0.5,
            score=0.91,
            learning_rate=1e-4,
            floors={"recall.stop": 0.75},
        ),
    ),
    hardware={"cpu": "an AVX2 one", "threads": 1, "vnni": False},
    duration_s=3.25,
    no_op="quantize: the file is no smaller",
)
FAILED = Outcome(
    state=TrialState.FAILED,
    failure=FailureRecord(kind="non_finite", message="loss is nan", traceback="Traceback …"),
)
TEACHER = TeacherRecord(
    name="resnet50", digest="cd" * 32, quality=quality(accuracy=0.97), cost=COST
)


def start(store: Store, *, study: str = "digits") -> int:
    return store.start_trial(study, params={"pruning": "magnitude", "ratio": 0.34}, seed=7)


class TestStudies:
    def test_a_new_study_is_running_and_holds_its_configuration(self, store: Store) -> None:
        study = store.study("digits")
        assert (study.state, study.config, study.artifacts, study.teacher) == (
            StudyState.RUNNING,
            {"seed": 1},
            "artifacts",
            None,
        )

    def test_studies_are_listed_in_the_order_of_their_creation(self, store: Store) -> None:
        store.create_study("another", config={}, artifacts="artifacts")
        assert store.names() == ["digits", "another"]

    def test_a_study_is_created_once(self, store: Store) -> None:
        with pytest.raises(StoreError, match=naming("digits", "study=digits-2")):
            store.create_study("digits", config={}, artifacts="artifacts")

    def test_an_unknown_study_is_answered_with_the_known_ones(self, store: Store) -> None:
        with pytest.raises(StoreError, match=naming("digit", "digits")):
            store.study("digit")

    def test_the_latest_study_is_the_one_that_changed_last(self, store: Store) -> None:
        store.create_study("another", config={}, artifacts="artifacts")
        start(store, study="digits")
        assert store.latest_study().name == "digits"

    def test_a_store_without_studies_says_how_to_get_one(self, store_url: str) -> None:
        with Store.open(store_url) as store, pytest.raises(StoreError, match=naming("retort run")):
            store.latest_study()

    def test_a_study_changes_its_state(self, store: Store) -> None:
        store.set_study_state("digits", StudyState.FINISHED)
        assert store.study("digits").state is StudyState.FINISHED

    def test_the_teacher_is_read_back_as_it_was_recorded(self, store: Store) -> None:
        store.record_teacher("digits", TEACHER)
        assert store.study("digits").teacher == TEACHER

    def test_the_teacher_is_replaced_by_its_newer_record(self, store: Store) -> None:
        store.record_teacher("digits", TEACHER)
        store.record_teacher("digits", replace(TEACHER, test=quality(accuracy=0.96)))
        assert store.study("digits").teacher == replace(TEACHER, test=quality(accuracy=0.96))

    def test_urls_in_a_configuration_lose_their_secrets(self, store: Store) -> None:
        config = {"run": {"storage": "postgresql://me:hunter2@host/db?sslpassword=hunter3"}}
        store.create_study("secret", config=config, artifacts="artifacts")
        assert "hunter" not in repr(store.study("secret"))


class TestTrials:
    def test_trials_are_numbered_from_zero_within_their_study(self, store: Store) -> None:
        store.create_study("another", config={}, artifacts="artifacts")
        numbers = [start(store), start(store), start(store, study="another")]
        assert numbers == [0, 1, 0]

    def test_a_started_trial_is_running_and_has_no_outcome(self, store: Store) -> None:
        trial = store.trial("digits", start(store))
        assert (trial.state, trial.outcome, trial.finished_at) == (TrialState.RUNNING, None, None)

    def test_a_started_trial_is_seen_by_others_at_once(self, store: Store, store_url: str) -> None:
        number = start(store)
        with Store.open(store_url, read_only=True) as other:
            assert other.trial("digits", number).params == {"pruning": "magnitude", "ratio": 0.34}

    def test_times_are_in_utc(self, store: Store) -> None:
        started = store.trial("digits", start(store)).started_at
        assert started.tzinfo is UTC
        assert abs(datetime.now(UTC) - started) < timedelta(minutes=1)

    @pytest.mark.parametrize("outcome", [COMPLETE, FAILED], ids=["complete", "failed"])
    def test_an_outcome_is_read_back_as_it_was_given(self, store: Store, outcome: Outcome) -> None:
        number = start(store)
        store.finish_trial("digits", number, outcome)
        trial = store.trial("digits", number)
        assert (trial.state, trial.outcome) == (outcome.state, outcome)

    def test_a_list_leaves_out_curves_and_tracebacks(self, store: Store) -> None:
        for outcome in (COMPLETE, FAILED):
            store.finish_trial("digits", start(store), outcome)
        complete, failed = (trial.outcome for trial in store.trials("digits"))
        assert complete == replace(COMPLETE, stages=(), epochs=())
        assert failed is not None
        assert failed.failure == FailureRecord(kind="non_finite", message="loss is nan")

    def test_a_list_of_whole_trials_has_everything(self, store: Store) -> None:
        store.finish_trial("digits", start(store), COMPLETE)
        assert [trial.outcome for trial in store.trials("digits", whole=True)] == [COMPLETE]

    def test_trials_are_chosen_by_their_state(self, store: Store) -> None:
        for outcome in (COMPLETE, FAILED, COMPLETE):
            store.finish_trial("digits", start(store), outcome)
        failed = store.trials("digits", states={TrialState.FAILED})
        assert [trial.number for trial in failed] == [1]

    def test_no_state_chooses_no_trial(self, store: Store) -> None:
        start(store)
        assert store.trials("digits", states=()) == []

    def test_an_unknown_trial_is_an_error(self, store: Store) -> None:
        with pytest.raises(StoreError, match=naming(3, "retort trials --study digits")):
            store.trial("digits", 3)

    def test_a_same_outcome_is_taken_twice(self, store: Store) -> None:
        number = start(store)
        store.finish_trial("digits", number, COMPLETE)
        before = store.trial("digits", number)
        store.finish_trial("digits", number, COMPLETE)
        assert store.trial("digits", number) == before

    def test_another_second_outcome_is_refused(self, store: Store) -> None:
        number = start(store)
        store.finish_trial("digits", number, COMPLETE)
        with pytest.raises(StoreError, match=naming(number, "digits", "complete", "failed")):
            store.finish_trial("digits", number, FAILED)
        assert store.trial("digits", number).outcome == COMPLETE

    def test_running_is_no_outcome(self, store: Store) -> None:
        with pytest.raises(StoreError, match=naming("running")):
            store.finish_trial("digits", start(store), Outcome(state=TrialState.RUNNING))

    def test_a_complete_trial_must_have_been_measured(self, store: Store) -> None:
        with pytest.raises(StoreError, match=naming("cost", "quality")):
            store.finish_trial("digits", start(store), Outcome(state=TrialState.COMPLETE))

    def test_an_accuracy_above_one_is_refused_and_leaves_no_trace(self, store: Store) -> None:
        number = start(store)
        beyond = replace(COMPLETE, quality={"accuracy": Measurement(90.0)})
        with pytest.raises(ImpossibleValue, match=r"accuracy .* 90\.0"):
            store.finish_trial("digits", number, beyond)
        assert store.trial("digits", number).state is TrialState.RUNNING

    @pytest.mark.parametrize(
        ("changed", "place"),
        [
            ({"quality": {"accuracy": Measurement(-0.1)}}, "accuracy"),
            ({"quality": {"accuracy": Measurement(0.9, error=-0.01)}}, "accuracy"),
            ({"cost": {**COST, "latency_ms": -1.0}}, "latency_ms"),
        ],
    )
    def test_what_no_network_can_have_is_refused(
        self, store: Store, changed: dict[str, Any], place: str
    ) -> None:
        with pytest.raises(ImpossibleValue, match=place):
            store.finish_trial("digits", start(store), replace(COMPLETE, **changed))

    def test_what_no_teacher_and_no_test_can_have_is_refused(self, store: Store) -> None:
        number, beyond = start(store), {"accuracy": Measurement(1.1)}
        store.finish_trial("digits", number, COMPLETE)
        for record in (
            lambda: store.record_test("digits", number, beyond),
            lambda: store.record_teacher("digits", replace(TEACHER, test=beyond)),
            lambda: store.record_teacher("digits", replace(TEACHER, quality=beyond)),
            lambda: store.record_teacher("digits", replace(TEACHER, cost={"macs": -1.0})),
        ):
            with pytest.raises(ImpossibleValue, match=r"accuracy .*1\.1|macs .*-1"):
                record()
        assert store.trial("digits", number).test == {}

    def test_a_metric_that_is_no_share_is_kept_beyond_its_worst_value(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rows, "metrics", lambda: {"loss": LOSS})
        number = start(store)
        worse = replace(COMPLETE, quality={"loss": Measurement(9.0)})
        store.finish_trial("digits", number, worse)
        assert store.trial("digits", number).outcome == worse
        with pytest.raises(ImpossibleValue, match="loss"):
            store.record_test("digits", number, {"loss": Measurement(-0.5)})

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize(
        "place",
        [
            "quality.accuracy.value",
            "cost.latency_ms",
            "stages[0].seconds",
            "epochs[0].loss",
            "violations.size_bytes",
            "hardware.clock",
            "duration_s",
        ],
    )
    def test_a_number_that_is_not_finite_never_gets_in(
        self, store: Store, place: str, bad: float
    ) -> None:
        outcomes = {
            "quality.accuracy.value": replace(COMPLETE, quality={"accuracy": Measurement(bad)}),
            "cost.latency_ms": replace(COMPLETE, cost={**COST, "latency_ms": bad}),
            "stages[0].seconds": replace(
                COMPLETE, stages=(StageRecord(name="distil", seconds=bad),)
            ),
            "epochs[0].loss": replace(COMPLETE, epochs=(replace(COMPLETE.epochs[0], loss=bad),)),
            "violations.size_bytes": replace(COMPLETE, violations={"size_bytes": bad}),
            "hardware.clock": replace(COMPLETE, hardware={"clock": bad}),
            "duration_s": replace(COMPLETE, duration_s=bad),
        }
        number = start(store)
        with pytest.raises(NotFinite, match=naming(place, bad)):
            store.finish_trial("digits", number, outcomes[place])
        assert store.trial("digits", number).outcome is None

    def test_a_parameter_that_is_not_finite_never_gets_in(self, store: Store) -> None:
        with pytest.raises(NotFinite, match=naming("ratio")):
            store.start_trial("digits", params={"ratio": math.nan}, seed=0)
        assert store.trials("digits") == []

    def test_a_test_quality_that_is_not_finite_never_gets_in(self, store: Store) -> None:
        number = start(store)
        store.finish_trial("digits", number, COMPLETE)
        with pytest.raises(StoreError, match=r"accuracy\.value"):
            store.record_test("digits", number, {"accuracy": Measurement(math.nan)})

    def test_text_that_no_database_takes_is_escaped_alike_both_times(self, store: Store) -> None:
        outcome = replace(FAILED, failure=FailureRecord(kind="other", message="a\0b\udcff"))
        number = start(store)
        store.finish_trial("digits", number, outcome)
        store.finish_trial("digits", number, outcome)
        kept = store.trial("digits", number).outcome
        assert kept is not None
        assert kept.failure == FailureRecord(kind="other", message=r"a\x00b\udcff")

    def test_running_trials_are_interrupted_and_no_others(self, store: Store) -> None:
        store.finish_trial("digits", start(store), COMPLETE)
        start(store)
        start(store)
        assert store.interrupt_running("digits") == 2
        states = [trial.state for trial in store.trials("digits")]
        assert states == [TrialState.COMPLETE, TrialState.INTERRUPTED, TrialState.INTERRUPTED]

    def test_the_test_quality_of_a_complete_trial_is_kept(self, store: Store) -> None:
        number = start(store)
        store.finish_trial("digits", number, COMPLETE)
        store.record_test("digits", number, quality(accuracy=0.89, agreement=0.94))
        assert store.trial("digits", number).test == quality(accuracy=0.89, agreement=0.94)

    def test_a_trial_without_an_artifact_can_not_be_tested(self, store: Store) -> None:
        with pytest.raises(StoreError, match=r"only a complete trial.*is running"):
            store.record_test("digits", start(store), quality(accuracy=0.9, agreement=0.9))

    def test_the_pulse_moves_with_every_change(self, store: Store) -> None:
        beats = [store.pulse("digits")]
        for change in (
            lambda: start(store),
            lambda: store.finish_trial("digits", 0, COMPLETE),
            lambda: store.record_test("digits", 0, quality(accuracy=0.9, agreement=0.9)),
            lambda: start(store),
            lambda: store.interrupt_running("digits"),
            lambda: store.record_teacher("digits", TEACHER),
            lambda: store.set_study_state("digits", StudyState.FINISHED),
        ):
            change()
            beats.append(store.pulse("digits"))
        assert [count for count, _ in beats] == [0, 1, 1, 1, 2, 2, 2, 2]
        times = [changed for _, changed in beats]
        assert all(before < after for before, after in pairwise(times))

    def test_the_pulse_moves_on_though_the_clock_was_set_back(
        self, store: Store, store_url: str
    ) -> None:
        ahead = datetime.now(UTC) + timedelta(days=1)
        engine = create_engine(store_url)
        with Session(engine) as session, session.begin():
            session.query(StudyRow).update({StudyRow.changed_at: ahead})
        engine.dispose()
        start(store)
        assert store.pulse("digits")[1] > ahead

    def test_many_threads_writing_at_once_lose_nothing(self, store: Store) -> None:
        def write(_: int) -> int:
            number = start(store)
            store.finish_trial("digits", number, COMPLETE)
            return number

        with ThreadPoolExecutor(8) as pool:
            numbers = sorted(pool.map(write, range(80)))
        assert numbers == list(range(80))
        assert all(trial.state is TrialState.COMPLETE for trial in store.trials("digits"))

    def test_ten_thousand_trials_are_read(self, store: Store, store_url: str) -> None:
        store.finish_trial("digits", start(store), COMPLETE)
        columns = [column.name for column in Table.metadata.tables["trials"].columns]
        kept = ", ".join(name for name in columns if name not in ("id", "number"))
        numbers = (
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
            "SELECT i FROM n) AS numbers"
        )
        engine = create_engine(store_url)
        with engine.begin() as connection:
            copy = f"INSERT INTO trials (number, {kept}) SELECT i, {kept} FROM {numbers}, trials"  # noqa: S608
            connection.execute(text(copy))
        engine.dispose()
        trials = store.trials("digits")
        assert [trial.number for trial in trials] == list(range(10_000))


class TestBranches:
    OUTCOME = replace(
        COMPLETE,
        branches=(
            Branch(params={"pruning": "none"}, outcome=COMPLETE),
            Branch(params={"pruning": "magnitude"}, outcome=FAILED),
        ),
    )

    def test_a_trial_and_its_branches_end_together(self, store: Store) -> None:
        other = start(store)
        number = start(store)
        assert store.finish_trial("digits", number, self.OUTCOME) == [2, 3]
        trials = {trial.number: trial for trial in store.trials("digits", whole=True)}
        assert [trials[each].parent for each in (other, number, 2, 3)] == [None, None, 1, 1]
        assert trials[2].params == {"pruning": "none"}
        assert trials[2].outcome == COMPLETE
        assert trials[3].outcome == FAILED
        assert trials[number].outcome == COMPLETE

    def test_ending_twice_alike_adds_no_branches(self, store: Store) -> None:
        number = start(store)
        first = store.finish_trial("digits", number, self.OUTCOME)
        assert store.finish_trial("digits", number, self.OUTCOME) == first
        assert store.pulse("digits")[0] == 3

    def test_branches_are_added_as_they_end(self, store: Store) -> None:
        number = start(store)
        first, second = self.OUTCOME.branches
        assert store.finish_trial("digits", number, COMPLETE) == []
        assert store.finish_trial("digits", number, replace(COMPLETE, branches=(first,))) == [1]
        assert store.finish_trial("digits", number, replace(COMPLETE, branches=(second,))) == [2]
        assert store.finish_trial("digits", number, self.OUTCOME) == [1, 2]
        assert [trial.parent for trial in store.trials("digits")] == [None, 0, 0]

    def test_a_branch_that_is_not_finite_keeps_all_of_them_out(self, store: Store) -> None:
        number = start(store)
        broken = replace(COMPLETE, quality={"accuracy": Measurement(math.nan)})
        outcome = replace(self.OUTCOME, branches=(Branch(params={}, outcome=broken),))
        with pytest.raises(StoreError, match=r"quality\.accuracy\.value must be finite"):
            store.finish_trial("digits", number, outcome)
        assert [trial.state for trial in store.trials("digits")] == [TrialState.RUNNING]


def test_a_trial_has_a_kind_and_may_repeat_an_earlier_one(store: Store) -> None:
    first = store.start_trial("digits", params={}, seed=0)
    purpose = Purpose(TrialKind.FINAL, repeats=first)
    second = store.start_trial("digits", params={}, seed=1, purpose=purpose)
    found = [(one.kind, one.repeats) for one in store.trials("digits")]
    assert found == [(TrialKind.SEARCH, None), (TrialKind.FINAL, first)]
    assert store.trial("digits", second).kind is TrialKind.FINAL


def test_a_refit_is_complete_without_a_quality_and_refuses_one(store: Store) -> None:
    first = store.start_trial("digits", params={}, seed=0)
    purpose = Purpose(TrialKind.REFIT, repeats=first)
    number = store.start_trial("digits", params={}, seed=0, purpose=purpose)
    with pytest.raises(StoreError, match=naming("refit", "accuracy")):
        store.finish_trial("digits", number, COMPLETE)
    outcome = replace(COMPLETE, quality={}, stages=(), epochs=())
    store.finish_trial("digits", number, outcome)
    store.record_test("digits", number, quality(accuracy=0.8))
    found = store.trial("digits", number)
    assert found.state is TrialState.COMPLETE
    assert found.outcome == outcome
    assert found.test["accuracy"].value == 0.8
    with pytest.raises(StoreError, match=naming("complete", "quality")):
        store.finish_trial("digits", first, outcome)


def test_the_time_of_finals_is_kept_beside_that_of_the_search(store: Store) -> None:
    take(store, "digits", log=print)
    with beating(store, "digits", beat_s=60) as heartbeat:
        heartbeat.finals_clock.start()
        time.sleep(0.02)
        heartbeat.finals_clock.stop()
    record = store.study("digits")
    assert record.elapsed_s == 0
    assert 0.02 <= record.finals_s < 60
