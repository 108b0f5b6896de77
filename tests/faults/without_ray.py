"""A search whose trials run one after another in this process: for faults that are not Ray's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from search import run
from search.config.study import RunSettings, Study
from search.pipeline.study_context import StudyContextSpec, open_context
from search.pipeline.trial import run_trial
from search.progress import FinalPlace
from search.ray_backend import local_cluster
from search.ray_backend import trials as tuning
from search.records import EpochRecord, Outcome, Scalar
from search.tuner.trial import Trial
from search.tuner.trial_runner import TrialRunner
from tests import recorder

STRIPES_SPACE = {
    "student": {"timm": {"model": "test_resnet"}},
    "training": {
        "standard": {
            "epochs": 1,
            "batch_size": 16,
            "warmup_epochs": 0,
            "learning_rate": {"low": 0.001, "high": 0.01},
        }
    },
    "distillation": ["labels"],
}


class TrialRecorder(recorder.TrialRecorder):
    """Notes what is said, and does what is asked when a trial starts."""

    def __init__(self, on_start: Callable[[int], None] = lambda number: None) -> None:
        super().__init__()
        self.started: list[int] = []
        self.finals: list[str] = []
        self._on_start = on_start

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.started.append(number)
        self._on_start(number)

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        self.finals.append(str(place))
        self.on_trial_start(number, params)


def study_of(folder: Path, file: Path, /, **sections: dict[str, object]) -> Study:
    """A study of stripes in `folder`, with these sections changed."""
    values: dict[str, dict[str, object]] = {
        "data": {"source": "npz", "path": file, "image_size": 32, "flip": False},
        "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
        "space": dict(STRIPES_SPACE),
        "search": {"trials": 3, "views": 1, "sampler": "random", "branches": 0, "stopping": False},
        "run": {
            "parallel": 1,
            "retries": 0,
            "cache": folder / "cache",
            "artifacts": folder / "artifacts",
            "storage": f"sqlite:///{folder / 'retort.db'}",
        },
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return Study.model_validate({"study": "stripes", **values})


@contextmanager
def one_after_another() -> Iterator[None]:
    """Lets no Ray into the searches of the block."""
    with (
        patch.object(tuning, "run_on_ray", _run_here),
        patch.object(tuning, "ray_of", _no_ray),
        patch.object(run, "workers_starting", _no_workers),
        patch.object(local_cluster, "workers_starting", _no_workers),
    ):
        yield


@contextmanager
def _no_ray(run: RunSettings, **_: object) -> Iterator[None]:
    yield


@contextmanager
def _no_workers(run: RunSettings) -> Iterator[Callable[[], None]]:
    yield lambda: None


def _run_here(tuner: TrialRunner, run: RunSettings, spec: StudyContextSpec, **_: object) -> None:
    while not tuner.is_over:
        trial = tuner.next()
        if trial is not None:
            tuner.on_trial_end(trial.number, _outcome(tuner, trial, spec))


def _outcome(tuner: TrialRunner, trial: Trial, spec: StudyContextSpec) -> Outcome | None:
    progress = run_trial(
        trial.recipe,
        open_context(spec),
        number=trial.number,
        seed=trial.seed,
        predicted_cost=trial.fitting_cost,
        branches=trial.branches or (),
    )
    while True:
        try:
            news = next(progress)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if isinstance(news, EpochRecord):
            goes_on = tuner.on_trial_report(trial.number, news)
        else:
            goes_on = tuner.on_trial_result(trial.number, news)
        if not goes_on:
            progress.close()
            return None
