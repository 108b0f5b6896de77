"""Ray Tune with OptunaSearch, as its documents show it: what a user would write instead.

It shares this project's stages (`search.pipeline.trial`) and its soft targets, so only the
orchestration differs: every proposed recipe is trained, and one over the budget is penalised.
The arm `natural` also trains in its own way, as in natural.py.
"""

import logging
import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
import torch
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from benchmarks.live_teacher import live_teacher
from benchmarks.time_to_frontier.log import log_epoch, log_student
from benchmarks.time_to_frontier.natural import train_naturally
from benchmarks.time_to_frontier.runs import NATURAL
from search.config.study import Study
from search.cost_model.dry_run import dry_run
from search.objectives.budget import Budget, total_violation
from search.pipeline import student_builder as builder
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext, StudyContextSpec, open_context
from search.pipeline.trial import run_trial
from search.records import Cost, EpochRecord, Outcome
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

# Passed as the known cost, it spares a trial measurements that only a budget would need.
UNKNOWN_COST: Cost = dict.fromkeys(("size_bytes", "parameters", "macs", "latency_ms"), 0)


@dataclass(frozen=True)
class Plan:
    """The task of a Ray Tune arm: the problem, the time, the parallel trials, the output paths."""

    study: Study
    spec: StudyContextSpec
    seconds: float
    parallel: int
    log: Path

    def open_context(self) -> StudyContext:
        """Return the task without its budget: a plain script trains every proposal."""
        context = open_context(self.spec)
        stages = StageCache(self.spec.stages.folder, limit_bytes=0)
        return replace(
            context, requirements=replace(context.requirements, budget=Budget()), stages=stages
        )


def run_plain(arm: str, plan: Plan) -> None:
    """Run one arm until the time is over; students and epochs go to the log."""
    os.environ.update(RAY_worker_niceness="0")  # as in our own search
    ray.init(
        address="local",
        num_cpus=plan.parallel,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    worker = tune.with_parameters(
        _Natural if arm == NATURAL else _Plain, plan=plan, foresees=arm.endswith("asha")
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            tune.Tuner(
                tune.with_resources(worker, {"cpu": 1}),
                tune_config=tune.TuneConfig(
                    search_alg=ConcurrencyLimiter(_searcher(arm, plan), plan.parallel),
                    scheduler=_scheduler(arm, plan.study.search_space()),
                    num_samples=-1,
                    time_budget_s=plan.seconds,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    verbose=0,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
    finally:
        ray.shutdown()


def _searcher(arm: str, plan: Plan) -> OptunaSearch:
    seed = plan.study.seed
    sampler: BaseSampler = (
        RandomSampler(seed=seed)
        if arm == "tune-random"
        else TPESampler(seed=seed, multivariate=True, group=True)
    )
    metrics, modes = ["score", "size_bytes", "latency_ms"], ["max", "min", "min"]
    propose = _Propose(plan.study.search_space())
    return OptunaSearch(propose, metric=metrics, mode=modes, sampler=sampler)


@dataclass(frozen=True)
class _Propose:
    """Draws a recipe. The searcher records the drawn values itself, and pickles this object."""

    space: SearchSpace

    def __call__(self, trial: Any) -> None:
        self.space.suggest(trial)


def _scheduler(arm: str, space: SearchSpace) -> ASHAScheduler | None:
    if not arm.endswith("asha"):
        return None
    epochs = int(space.axes["training"]["standard"]["epochs"].at(0.5))
    return ASHAScheduler(
        time_attr="training_iteration",
        metric="score",
        mode="max",
        max_t=epochs * 2,
        grace_period=1,
        reduction_factor=2,
    )


class _Plain(tune.Trainable):
    """A trial of the plain script, one epoch a step.

    If its scheduler looks at unfinished trials, the trial predicts its costs.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], *, plan: Plan, foresees: bool
    ) -> None:
        torch.set_num_threads(1)
        self._plan, self._context, self._number = plan, plan.open_context(), 0
        self._foresees = foresees
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._recipe = Recipe.from_params(new_config)
        requirements = self._context.requirements
        self._cost = dry_run(self._recipe, requirements) if self._foresees else UNKNOWN_COST
        self._accuracy = 0.0
        self._number += 1
        self._epochs = self._train()
        return True

    def step(self) -> dict[str, Any]:
        try:
            self._accuracy = next(self._epochs)
            log_epoch(self._plan.log, "epoch")
            return self._metrics() | {"done": False}
        except StopIteration as end:
            outcome: Outcome = end.value
            if not (outcome.quality and outcome.cost):
                raise RuntimeError(outcome.failure or outcome.reason) from end
            self._accuracy, self._cost = outcome.quality["accuracy"].value, outcome.cost
            log_student(self._plan.log, outcome, self._context.artifacts.folder)
            return self._metrics() | {"done": True}

    def cleanup(self) -> None:
        self._epochs.close()

    @property
    def _own_number(self) -> int:
        # The process id makes it unique: no other process writes this artifact.
        return os.getpid() * 1000 + self._number

    def _train(self) -> Any:
        trial = run_trial(
            self._recipe, self._context, number=self._own_number, seed=0, predicted_cost=self._cost
        )
        while True:
            try:
                news = next(trial)
            except StopIteration as end:
                return end.value
            assert isinstance(news, EpochRecord)  # there are no branches
            yield news.score

    def _metrics(self) -> dict[str, Any]:
        budget = self._plan.spec.requirements.budget
        penalty = total_violation(budget.violations(self._cost))
        return {
            "score": self._accuracy - penalty,
            "size_bytes": self._cost["size_bytes"],
            "latency_ms": self._cost["latency_ms"],
        }


class _Natural(_Plain):
    """A trial of the plain script with a live teacher and a DataLoader."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], *, plan: Plan, foresees: bool
    ) -> None:
        torch.set_num_threads(1)
        teacher = live_teacher(plan.study, plan.open_context().dataset)
        # This process runs nothing else: its trials now train as a user's own script would.
        patch.object(builder, "train", partial(train_naturally, teacher=teacher)).start()
        super().setup(config, plan=plan, foresees=foresees)
