"""The wiring of Ray Tune to the sampler and the store; the only file that knows Ray."""

import logging
import math
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Ray reads these when it is imported. No usage statistics, no result files that nobody reads, and
# Ctrl-C is ours: the first drains.
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_AIR_NEW_OUTPUT="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_GLOBAL_CHECKPOINT_S="1000000",
)

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from search.admission.gate import Gate, open_admission
from search.config import RunSettings, SearchSettings, Study
from search.cost_aware.candidates import CostSource
from search.errors import Interrupted, RetortError
from search.preparation import TaskSpec, open_task
from search.progress import Watcher
from search.records import EpochRecord, FailureRecord, Outcome, TrialState
from search.resources import parallel_trials
from search.sampler import Proposal, Sampler
from search.store import Store
from search.trial import run_trial
from spaces.recipe import Recipe

_OUTCOME = "outcome"
_EPOCH = "epoch"
# Recipes refused for their cost do not count as tried, but there is an end to it.
_PROPOSALS_PER_TRIAL = 20


class _Bridge(Searcher):
    """What Ray asks for recipes and tells of results.

    It runs in the driver, and is the only writer: a trial is in the store as running before Ray
    starts it, and as ended before the sampler hears of it.
    """

    def __init__(
        self,
        *,
        study: str,
        seed: int,
        settings: SearchSettings,
        sampler: Sampler,
        gate: Gate,
        store: Store,
        watcher: Watcher,
    ) -> None:
        super().__init__()
        self._study = study
        self._seed = seed
        self._settings = settings
        self._sampler = sampler
        self._gate = gate
        self._store = store
        self._watcher = watcher
        self._running: dict[str, tuple[int, Proposal]] = {}
        self._proposed = 0
        self._trained = 0
        self._deadline = time.monotonic() + (settings.max_time or float("inf"))
        self.draining = False
        self.interrupted = False

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._is_over():
            return Searcher.FINISHED  # type: ignore[return-value]
        if self._trained + len(self._running) >= self._settings.trials:
            return None  # those that run may yet turn out infeasible
        proposal = self._sampler.ask()
        if proposal is None:
            self._watcher.say("no recipe is left that is new and fits the budget")
            self.draining = True
            return Searcher.FINISHED  # type: ignore[return-value]
        self._proposed += 1
        params = proposal.recipe.to_params()
        seed = self._seed + self._proposed
        number = self._store.start_trial(self._study, params=params, seed=seed)
        self._running[trial_id] = number, proposal
        self._watcher.trial_started(number, params)
        foreseen = self._gate.known_cost(proposal.recipe)
        return {"params": params, "number": number, "seed": seed, "foreseen": foreseen}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if isinstance(point := result.get(_EPOCH), EpochRecord):
            self._watcher.trial_advanced(self._running[trial_id][0], point)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002  Ray's signature
    ) -> None:
        number, proposal = self._running.pop(trial_id)
        outcome = (result or {}).get(_OUTCOME)
        if not isinstance(outcome, Outcome):
            outcome = _lost()
        self._store.finish_trial(self._study, number, outcome)
        self._gate.learn(proposal.recipe, outcome)
        self._sampler.tell(proposal, outcome)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        self._watcher.trial_ended(number, outcome)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the only truth, and nothing is restored from Ray's files."""

    def __getstate__(self) -> dict[str, object]:
        """Nothing, likewise, though Ray pickles its searcher at the start."""
        return {}

    def _is_over(self) -> bool:
        return (
            self.draining
            or self._trained >= self._settings.trials
            or self._proposed >= self._settings.trials * _PROPOSALS_PER_TRIAL
            or time.monotonic() > self._deadline
        )


def run_trials(study: Study, spec: TaskSpec, store: Store, watcher: Watcher) -> None:
    """Tries recipes until there are enough, the time is up, or the space is exhausted.

    Raises:
        Interrupted: the person pressed Ctrl-C. What had finished is in the store; what was running
            is recorded as interrupted.
        RetortError: Ray can't be started or reached.
    """
    run = study.run
    admission = open_admission(study, spec.brief, store)
    gate = Gate(admission, study=study.study, seed=study.seed, store=store, watcher=watcher)
    bridge = _Bridge(
        study=study.study,
        seed=study.seed,
        settings=study.search,
        sampler=Sampler(
            study.search_space(),
            name=study.search.sampler,
            seed=study.seed,
            costs=CostSource(admission.predict, admission.measure),
            budget=study.budget,
            gate=gate,
        ),
        gate=gate,
        store=store,
        watcher=watcher,
    )
    trainable = tune.with_resources(
        tune.with_parameters(_Worker, spec=spec, threads=run.cpus),
        {"cpu": run.cpus, "gpu": run.gpus},
    )
    with _ray(run), tempfile.TemporaryDirectory() as folder, _draining(bridge, watcher):
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=bridge,
                num_samples=-1,
                max_concurrent_trials=parallel_trials(run),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    if bridge.interrupted:
        raise Interrupted("stopped; what had finished is in the store")


class _Worker(tune.Trainable):
    """A process that runs one trial after another, an epoch a step, and stays warm in between."""

    def setup(  # type: ignore[override]  # Ray hands over what tune.with_parameters was given
        self, config: dict[str, Any], *, spec: TaskSpec, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self._spec = spec
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes up the next trial in this very process."""
        self._trial = run_trial(
            Recipe.from_params(new_config["params"]),
            open_task(self._spec),
            number=new_config["number"],
            seed=new_config["seed"],
            foreseen=new_config["foreseen"],
        )
        return True

    def step(self) -> dict[str, Any]:
        try:
            return {_EPOCH: next(self._trial)}
        except StopIteration as end:
            return {_OUTCOME: end.value, "done": True}

    def cleanup(self) -> None:
        self._trial.close()


def _lost() -> Outcome:
    failure = FailureRecord(
        kind="process_died", message="the trial's process ended without a result; memory?"
    )
    return Outcome(state=TrialState.FAILED, failure=failure)


@contextmanager
def _ray(run: RunSettings) -> Iterator[None]:
    """A Ray of our own for the run's length, or a connection to one that is there."""
    local = run.ray == "local"
    resources: dict[str, Any] = {}
    if local:
        wide = parallel_trials(run)
        resources = {"num_cpus": wide * run.cpus, "num_gpus": math.ceil(wide * run.gpus) or None}
    try:
        ray.init(
            address="local" if local else run.ray,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if local else None,
            **resources,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RetortError(
            f"run.ray: {run.ray} does not answer: {error}. Start one with `ray start --head`, "
            "set RAY_AUTH_TOKEN if it asks for a token, or set run.ray: local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _draining(bridge: _Bridge, watcher: Watcher) -> Iterator[None]:
    """Ctrl-C once lets running trials end, twice stops at once."""

    def handle(*_: object) -> None:
        if bridge.interrupted:
            raise KeyboardInterrupt
        bridge.interrupted = bridge.draining = True
        watcher.say("stopping: running trials end first; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
