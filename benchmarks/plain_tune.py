"""What a user would write instead: Ray Tune with OptunaSearch, as their documents show it.

It shares this project's stages (`search.trial`) and its soft targets, so that only the
orchestration differs: every proposed recipe is trained, and what breaks the budget is penalised.
"""

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from search.admission.foresight import foresee_cost
from search.budget import Budget, total_violation
from search.preparation import TaskSpec, open_task
from search.trial import run_trial
from spaces.recipe import Recipe
from spaces.space import SearchSpace

ARMS = ("tune-optuna", "tune-optuna-asha", "tune-random")


def run_plain(
    arm: str,
    space: SearchSpace,
    spec: TaskSpec,
    *,
    trials: int,
    parallel: int,
    seed: int,
    log: Path,
) -> None:
    """Runs one arm; every trial that ends appends a line of JSON to `log`."""
    ray.init(
        address="local",
        num_cpus=parallel,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    epochs = int(space.axes["training"]["standard"]["epochs"].at(0.5))
    try:
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_Plain, spec=spec, log=log, epochs=epochs), {"cpu": 1}
            ),
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(_searcher(arm, space, seed), parallel),
                scheduler=_scheduler(arm, epochs),
                num_samples=trials,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(log.parent / f"{log.stem}-ray"),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    finally:
        ray.shutdown()


def _searcher(arm: str, space: SearchSpace, seed: int) -> OptunaSearch:
    sampler: BaseSampler = (
        RandomSampler(seed=seed)
        if arm == "tune-random"
        else TPESampler(seed=seed, multivariate=True, group=True)
    )
    metrics, modes = ["score", "size_bytes", "latency_ms"], ["max", "min", "min"]
    return OptunaSearch(_Propose(space), metric=metrics, mode=modes, sampler=sampler)


@dataclass(frozen=True)
class _Propose:
    """Draws a recipe; the searcher collects what was drawn by itself, and pickles this."""

    space: SearchSpace

    def __call__(self, trial: Any) -> None:
        self.space.suggest(trial)


def _scheduler(arm: str, epochs: int) -> ASHAScheduler | None:
    if not arm.endswith("asha"):
        return None
    return ASHAScheduler(
        time_attr="training_iteration",
        metric="score",
        mode="max",
        max_t=epochs * 2,
        grace_period=1,
        reduction_factor=2,
    )


class _Plain(tune.Trainable):
    def setup(  # type: ignore[override]
        self, config: dict[str, Any], *, spec: TaskSpec, log: Path, epochs: int
    ) -> None:
        torch.set_num_threads(1)
        self._task = open_task(replace(spec, brief=replace(spec.brief, budget=Budget())))
        self._budget, self._log, self._epochs = spec.brief.budget, log, epochs
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._recipe = Recipe.from_params(new_config)
        self._cost = foresee_cost(self._recipe, self._task.brief)
        self._trial = run_trial(
            self._recipe,
            self._task,
            number=time.time_ns() % 10**9,
            seed=0,
            foreseen=self._cost,
        )
        self._accuracy = 0.0
        return True

    def step(self) -> dict[str, Any]:
        try:
            self._accuracy = next(self._trial).accuracy
            return self._metrics() | {"done": False}
        except StopIteration as end:
            outcome = end.value
            if outcome.quality and outcome.cost:
                self._accuracy, self._cost = outcome.quality.accuracy, outcome.cost
                self._write(len(outcome.epochs))
            return self._metrics() | {"done": True}

    def cleanup(self) -> None:
        self._trial.close()

    def _metrics(self) -> dict[str, Any]:
        penalty = total_violation(self._budget.violations(self._cost))
        return {
            "score": self._accuracy - penalty,
            "size_bytes": self._cost.size_bytes,
            "latency_ms": self._cost.latency_ms,
        }

    def _write(self, epochs: int) -> None:
        line = {
            "time": time.time(),
            "accuracy": self._accuracy,
            "size_bytes": self._cost.size_bytes,
            "latency_ms": self._cost.latency_ms,
            "epochs": epochs,
        }
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")
