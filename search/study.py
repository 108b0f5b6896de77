"""The wiring of Ray Tune to the sampler and the store; the only file that knows Ray."""

import logging
import math
import os
import signal
import tempfile
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
from search.config import RunSettings, Study
from search.cost_aware.candidates import CostSource
from search.driver import Dispatch, Driver
from search.errors import Interrupted, RetortError
from search.pinning import FrontierPins
from search.preparation import TaskSpec, open_task
from search.progress import Watcher
from search.resources import parallel_trials
from search.sampler import Sampler
from search.scheduler import Rungs
from search.store import Store
from search.trial import run_trial

_OUTCOME = "outcome"
_EPOCH = "epoch"


class _Bridge(Searcher):
    """Ray's names for what the driver does."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        dispatch = self._driver.next()
        if dispatch is None:
            return Searcher.FINISHED if self._driver.is_over else None  # type: ignore[return-value]
        self._numbers[trial_id] = dispatch.number
        return {"dispatch": dispatch}

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002  Ray's signature
    ) -> None:
        self._driver.end(self._numbers.pop(trial_id), (result or {}).get(_OUTCOME))

    def should_stop(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial ends here, after the epoch that `result` tells of."""
        point = result.get(_EPOCH)
        return point is not None and not self._driver.advance(self._numbers[trial_id], point)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the only truth, and nothing is restored from Ray's files."""

    def __getstate__(self) -> dict[str, object]:
        """Nothing, likewise, though Ray pickles its searcher at the start."""
        return {}


class _Stopper(tune.Stopper):
    """Asks the driver at each epoch; Ray pickles it, to restore what is never restored."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._bridge.should_stop(trial_id, result)

    def stop_all(self) -> bool:
        return False


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
    driver = Driver(
        study,
        sampler=Sampler(
            study.search_space(),
            name=study.search.sampler,
            seed=study.seed,
            costs=CostSource(admission.predict, admission.measure),
            budget=study.budget,
            gate=gate,
        ),
        gate=gate,
        rungs=Rungs(len(open_task(spec).dataset.validation)) if study.search.stopping else None,
        pins=FrontierPins(study.study, spec.lineage, spec.stage_cache()),
        store=store,
        watcher=watcher,
    )
    bridge = _Bridge(driver)
    trainable = tune.with_resources(
        tune.with_parameters(_Worker, spec=spec, threads=run.cpus),
        {"cpu": run.cpus, "gpu": run.gpus},
    )
    with _ray(run), tempfile.TemporaryDirectory() as folder, _draining(driver, watcher):
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
                stop=_Stopper(bridge),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    if driver.interrupted:
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
        dispatch: Dispatch = new_config["dispatch"]
        self._trial = run_trial(
            dispatch.recipe,
            open_task(self._spec),
            number=dispatch.number,
            seed=dispatch.seed,
            foreseen=dispatch.foreseen,
            branches=dispatch.branches,
        )
        return True

    def step(self) -> dict[str, Any]:
        try:
            return {_EPOCH: next(self._trial)}
        except StopIteration as end:
            return {_OUTCOME: end.value, "done": True}

    def cleanup(self) -> None:
        self._trial.close()


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
    # It would print whole tracebacks of a trial's process; the trial's row has what is known.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _draining(driver: Driver, watcher: Watcher) -> Iterator[None]:
    """Ctrl-C once lets running trials end, twice stops at once."""

    def handle(*_: object) -> None:
        if driver.interrupted:
            raise KeyboardInterrupt
        driver.interrupted = driver.draining = True
        watcher.say("stopping: running trials end first; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
