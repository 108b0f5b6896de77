"""Plausible studies, written through the store's own interface, as a search would write them."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from search.analysis.pareto import cost_of, value_of
from search.analysis.ranking import Ranking
from search.objectives.budget import stored_budget
from search.objectives.goal import DEFAULT_GOAL
from search.pipeline.refit import without_validation
from search.records import (
    ArtifactRecord,
    Branch,
    Cost,
    EpochRecord,
    FailureRecord,
    Outcome,
    Purpose,
    Scalar,
    StageRecord,
    StudyState,
    TeacherRecord,
    TrialKind,
    TrialState,
)
from search.storage.leases import this_process
from search.storage.storage import Store
from tests import measured as made

BUDGET = {"size": "600KB", "latency": "1.5ms", "target": {"device": "cpu", "threads": 1}}
TEACHER = TeacherRecord(
    name="resnet18",
    digest="5e" * 32,
    quality=made.quality(accuracy=0.983),
    test=made.quality(accuracy=0.978),
    cost=made.cost(
        size_bytes=44_700_000,
        parameters=11_170_000,
        macs=37_000_000,
        latency_ms=8.4,
        latency_p95_ms=9.1,
    ),
)
# Parameters, and milliseconds at full width.
_STUDENTS = {
    "test_resnet": (480_000, 0.5),
    "resnet10t": (5_000_000, 2.4),
    "test_vit": (370_000, 1.1),
}


def add_study(
    store: Store,
    name: str = "digits",
    *,
    trials: int = 60,
    running: int = 0,
    only: TrialState | None = None,
    budget: Mapping[str, object] = BUDGET,
    branches: int = 0,
    model: str | None = None,
    message: str = "the loss became NaN in epoch 3",
) -> None:
    """Adds a study of a teacher and so many trials.

    Args:
        store: open for writing.
        name: the study's.
        trials: how many ended.
        running: how many more have not.
        only: the state in which all of them ended; by default a plausible mixture.
        budget: as a study file has it.
        branches: how many of every `branches + 1` trials took over another's trained student.
        model: the name of every student.
        message: of every failure.
    """
    store.create_study(
        name,
        config={"study": name, "budget": dict(budget)},
        artifacts="artifacts",
        lease=this_process(),
    )
    store.record_teacher(name, TEACHER)
    chance = random.Random(0)  # noqa: S311 - no secret
    recipes = _recipes(chance, trials, model)
    for params in recipes:
        number = store.start_trial(name, params=params, seed=chance.randrange(2**31))
        outcome = _outcome(chance, number, params, only=only)
        if outcome.failure is not None:
            outcome = replace(outcome, failure=replace(outcome.failure, message=message))
        made = [
            Branch(params=other, outcome=_outcome(chance, number + place, other, only=only))
            for place, other in enumerate(islice(recipes, branches), start=1)
        ]
        store.finish_trial(name, number, replace(outcome, branches=tuple(made)))
    for params in _recipes(chance, running, model):
        store.start_trial(name, params=params, seed=0)
    if not running:
        store.set_study_state(name, StudyState.FINISHED)


def _recipes(chance: random.Random, count: int, model: str | None) -> Iterator[dict[str, Scalar]]:
    for _ in range(count):
        yield {
            "student": "timm",
            "student.timm.model": model or chance.choice(list(_STUDENTS)),
            "training": "standard",
            "training.standard.epochs": chance.randint(4, 16),
            "training.standard.learning_rate": round(10 ** chance.uniform(-3.5, -1.5), 5),
            "distillation": "soft_targets",
            "distillation.soft_targets.temperature": round(chance.uniform(1, 12), 2),
            "pruning": "magnitude",
            "pruning.magnitude.ratio": round(chance.uniform(0.05, 0.9), 3),
            "quantization": chance.choice(["int8_static", "float32"]),
        }


def _cost(chance: random.Random, params: Mapping[str, Scalar]) -> Cost:
    parameters, latency = _STUDENTS.get(str(params["student.timm.model"]), (480_000, 0.5))
    kept = (1 - float(params["pruning.magnitude.ratio"])) ** 1.6
    is_int8 = params["quantization"] == "int8_static"
    timed = latency * (0.15 + kept) * (0.55 if is_int8 else 1.0) * chance.uniform(0.95, 1.1)
    return made.cost(
        size_bytes=round(parameters * kept * (1 if is_int8 else 4) + 9000),
        parameters=round(parameters * kept),
        macs=round(parameters * kept * 18),
        latency_ms=timed,
        latency_p95_ms=timed * 1.15,
    )


def _outcome(
    chance: random.Random, number: int, params: Mapping[str, Scalar], *, only: TrialState | None
) -> Outcome:
    cost = _cost(chance, params)
    over = {
        "size_bytes": cost["size_bytes"] / 6e5 - 1,
        "latency_ms": cost.get("latency_ms", 0) / 1.5 - 1,
    }
    if only is None:
        broken = any(excess > 0 for excess in over.values())
        ended = TrialState.INFEASIBLE if broken else TrialState.COMPLETE
        state = {7: TrialState.FAILED, 3: TrialState.STOPPED}.get(number % 17, ended)
    else:
        state = only
    accuracy = _accuracy(chance, params, cost)
    quality = made.quality(accuracy=accuracy, agreement=min(1.0, accuracy + 0.008))
    seconds = chance.uniform(20, 90)
    match state:
        case TrialState.FAILED:
            failure = FailureRecord(
                kind="non_finite",
                message="the loss became NaN in epoch 3",
                traceback="Traceback (most recent call last): …",
            )
            return Outcome(state=state, cost=cost, failure=failure, duration_s=seconds)
        case TrialState.INFEASIBLE:
            # Every third one was caught only when the finished artifact was timed.
            measured = quality if number % 3 == 0 else {}
            over = {key: abs(excess) + 0.01 for key, excess in over.items()} if only else over
            reason = "its size is above the budget's 600 KB"
            return Outcome(
                state=state,
                cost=cost,
                quality=measured,
                reason=reason,
                violations=over,
                duration_s=0.4,
            )
        case TrialState.STOPPED:
            low = made.quality(accuracy=accuracy * 0.8, agreement=accuracy * 0.8)
            reason = "hopeless at the rung of 4 epochs"
            return Outcome(state=state, cost=cost, quality=low, reason=reason, duration_s=seconds)
    return Outcome(
        state=state,
        cost=cost,
        quality=quality,
        violations=over,
        artifact=ArtifactRecord(path=f"trial-{number:05d}", sha256="ab" * 32),
        stages=_stages(params, cost, accuracy, seconds),
        epochs=tuple(
            EpochRecord(
                stage=stage,
                epoch=epoch,
                loss=2 / (epoch + 1 + start),
                score=accuracy * (1 - 0.5 ** (epoch + 1 + start)),
                learning_rate=0.01,
            )
            for stage, count, start in (("distil", 8, 0), ("recover", 4, 3))
            for epoch in range(count)
        ),
        hardware={"cpu": "Intel Xeon", "threads": 1},
        duration_s=seconds,
    )


def _stages(
    params: Mapping[str, Scalar], cost: Cost, accuracy: float, seconds: float
) -> tuple[StageRecord, ...]:
    """From the float student to the shipped one: pruning costs accuracy, recovery returns it."""
    parameters, latency = _STUDENTS.get(str(params["student.timm.model"]), (480_000, 0.5))
    is_int8 = params["quantization"] == "int8_static"
    shipped = cost.get("latency_ms", latency)
    float_ms = shipped / 0.55 if is_int8 else shipped
    whole: Cost = {"parameters": parameters, "macs": parameters * 18}
    cut: Cost = {"parameters": cost["parameters"], "macs": cost["macs"]}
    kept = min(1.0, accuracy + 0.004)
    return (
        StageRecord(name="admit", seconds=0.4),
        StageRecord(
            name="distil",
            seconds=seconds * 0.7,
            score=min(1.0, accuracy + 0.012),
            cost={
                **whole,
                "size_bytes": parameters * 4 + 9000,
                "latency_ms": max(latency, float_ms),
            },
        ),
        StageRecord(
            name="prune",
            seconds=1.0,
            score=accuracy * 0.7,
            cost={
                **cut,
                "size_bytes": cost["parameters"] * 4 + 9000,
                "latency_ms": float_ms,
            },
        ),
        StageRecord(name="recover", seconds=seconds * 0.3, score=kept, cost=cut),
        StageRecord(
            name="quantize",
            seconds=0.5,
            no_op=None if is_int8 else "float32 is the format it had",
            cost=made.cost(size_bytes=cost["size_bytes"], latency_ms=shipped),
        ),
        StageRecord(name="measure", seconds=2.0),
    )


def _accuracy(chance: random.Random, params: Mapping[str, Scalar], cost: Cost) -> float:
    capacity = math.log10(cost["parameters"] / 8_000) / 2.6
    loss = 0.35 * math.exp(-2.6 * capacity) + (0.006 if params["quantization"] != "float32" else 0)
    return min(0.985, max(0.1, 0.986 - loss - chance.expovariate(45)))


def add_finalists(store: Store, name: str = "digits", *, refit: bool = True) -> None:
    """Adds a study as `add_study` does, with two finalists of two seeds, and a refit of the best.

    The finalists are a little better than the trials that they repeat.
    """
    add_study(store, name)
    budget = stored_budget(store.study(name).config)
    sources = [
        trial
        for trial in store.trials(name, states=[TrialState.COMPLETE], whole=True)
        if budget.surely_admits(cost_of(trial))
    ]
    sources.sort(key=lambda trial: -value_of(trial, DEFAULT_GOAL))
    for source in sources[:2]:
        for seed in range(2):
            purpose = Purpose(TrialKind.FINAL, repeats=source.number)
            params = {**source.params, "training.standard.epochs": 40}
            number = store.start_trial(name, params=params, seed=seed, purpose=purpose)
            accuracy = min(0.99, value_of(source, DEFAULT_GOAL) + 0.01 + 0.004 * seed)
            assert source.outcome is not None
            better = made.quality(accuracy=accuracy, agreement=accuracy)
            store.finish_trial(name, number, replace(source.outcome, quality=better))
            store.record_test(name, number, better)
    if refit:
        found = Ranking(store.trials(name), DEFAULT_GOAL).best(budget)
        assert found is not None
        purpose = Purpose(TrialKind.REFIT, repeats=found.number)
        number = store.start_trial(name, params=found.params, seed=found.seed, purpose=purpose)
        whole = store.trial(name, found.number).outcome
        assert whole is not None
        store.finish_trial(name, number, without_validation(whole))
        store.record_test(name, number, made.quality(accuracy=0.97, agreement=0.97))
