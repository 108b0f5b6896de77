"""Predicts the effort of a study: seconds, from a few timed training steps, and bytes of disk."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import mean, median

import torch
from torch import nn

from search.config.resources import parallel_trials
from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.config.teacher_members import TeacherMember
from search.data.dataset import Dataset
from search.data.joined import for_learning
from search.objectives.limits import PARAMETERS, SIZE
from search.records import Cost
from search.teachers.logits_file import bytes_of_view
from search.training.distiller import Distiller
from search.tuner.loading_time import LoadingTime
from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.axes.student import Student
from spaces.axes.training import Training
from spaces.distillation.labels import Labels
from spaces.recipe import Recipe
from spaces.training.standard import Standard

_TIMED_STEPS = 3
# Seconds besides training: admission, export, quantization and measuring; from recorded stages.
_OVERHEAD_S = 2.5


class TrialTimer:
    """Timer that predicts the duration of trials; it times each kind of training step once.

    Args:
        requirements: the requirements on the students.
        dataset: the training data of the students.
        teachers: the teachers' networks, for methods that need them in each step.
        loading: the time to load an image in a trial.
        is_live: whether the teachers' logits are computed in each step.
    """

    def __init__(
        self,
        requirements: StudentRequirements,
        dataset: Dataset,
        teachers: tuple[nn.Module, ...],
        loading: LoadingTime,
        *,
        is_live: bool = False,
    ) -> None:
        self._loading = loading
        self._is_live = is_live
        self._requirements = requirements
        self._dataset = dataset
        self._teachers = teachers
        self._step_seconds: dict[tuple[Student, int, str], float] = {}

    def seconds(self, recipe: Recipe, branches: Sequence[Recipe]) -> float:
        """Predict the seconds of the recipe's trial, with all branches."""
        steps = _steps(recipe, branches, self._dataset)
        images = steps * recipe.training.batch_size
        training_s = self._loading.with_steps(self._step(recipe) * steps, images=images)
        return training_s + (1 + len(branches)) * _OVERHEAD_S

    def _step(self, recipe: Recipe) -> float:
        key = recipe.student, recipe.training.batch_size, recipe.distillation.name
        if key not in self._step_seconds:
            student = self._requirements.build(recipe.student, blank=True)
            # A plan does not run a factory, so without its teacher only the student's part is
            # timed.
            absent = recipe.distillation.needs is Needs.FEATURES and not self._teachers
            method = Labels() if absent else recipe.distillation
            distiller = Distiller(student, method, self._teachers, self._requirements.example())
            asks = self._is_live and recipe.distillation.needs is Needs.LOGITS
            self._step_seconds[key] = _step_seconds(
                distiller,
                self._requirements,
                recipe.training,
                method,
                live=self._teachers if asks else (),
            )
        return self._step_seconds[key]


def teacher_seconds(
    study: Study,
    members: Sequence[tuple[TeacherMember, nn.Module]],
    requirements: StudentRequirements,
    dataset: Dataset,
    loading: LoadingTime,
) -> tuple[float, float]:
    """Predict the seconds to train the teachers, and to answer for one view of all images.

    Args:
        study: the study, with its methods.
        members: the teachers, and those from which they learn, with their networks on the CPU.
        requirements: the shape of the images, and their classes.
        dataset: the images.
        loading: the time to load an image before the first trial.
    """
    labelled = len(dataset.training)
    images = len(for_learning(dataset, by_labels=False).training)
    teaching = {member.label for member in study.teacher_members}
    total, view_s = 0.0, {}
    for member, network in members:
        schedule = member.settings.schedule
        batch_size = schedule.batch_size if schedule else 64
        distiller = Distiller(network, Labels(), (), requirements.example())
        step = _step_seconds(distiller, requirements, Standard(batch_size=batch_size), Labels())
        # A step is about three forward passes.
        view_s[member.label] = loading.with_steps(images / batch_size * step / 3, images=images)
        if schedule is None:
            continue
        seen = schedule.epochs * labelled
        total += loading.with_steps(seen / batch_size * step, images=seen)
        total += schedule.epochs * sum(view_s.get(other.label, 0.0) for other in member.taught_by)
    return total, sum(view_s[label] for label in teaching if label in view_s)


def search_seconds(study: Study, trials: Sequence[float]) -> float:
    """Predict the seconds of the whole search, with as many parallel trials as the run's settings.

    Args:
        study: the study, with the number of trials and the time limit.
        trials: the predicted seconds of some trials; without any, the result is 0.
    """
    rounds = math.ceil(study.search.trials / parallel_trials(study.run))
    longest = study.search.max_time or math.inf
    return min(longest, mean(trials) * rounds) if trials else 0.0


def final_count(study: Study) -> int:
    """Return the number of trials after the search: finalists with all seeds, and the refit."""
    if study.final is None:
        return 0
    return study.final.students * study.final.seeds + study.final.refit


def finals_seconds(study: Study, finals: Sequence[float]) -> float:
    """Predict the seconds to train all finalists, and then the refit.

    Args:
        study: the study, with the number of finalists and their time limit.
        finals: the predicted seconds of some finalists; without any, the result is 0.
    """
    if study.final is None or not finals:
        return 0.0
    rounds = math.ceil(study.final.students * study.final.seeds / parallel_trials(study.run))
    one, longest = mean(finals), study.final.max_time or math.inf
    # No finalist starts after the time limit, but those that run then end.
    return min(longest + one, one * (rounds + study.final.refit))


def disk_bytes(
    study: Study, made: Sequence[tuple[int, Cost]], dataset: Dataset, *, views: int
) -> int:
    """Predict the bytes of the students, their stages, the soft targets and the data.

    Each student's served file and its float32 weights are stored. A refit needs the teacher's
    logits for training and validation images too.

    Args:
        study: the study, with the number of trials and teachers.
        made: the number of students of some trials, and the cost of one of their students.
        dataset: the images.
        views: the number of views with cached logits.
    """
    trials, finals = study.search.trials, final_count(study)
    counts = [(trials * count + finals, cost) for count, cost in made]
    served = mean(count * cost[SIZE.cost] for count, cost in counts) if made else 0
    weights = mean(count * 4 * cost[PARAMETERS.cost] for count, cost in counts) if made else 0
    stages = min(study.run.stages, weights)
    info = dataset.info
    images = info.sizes.training + info.unlabelled
    if study.final is not None and study.final.refit:
        images += images + info.sizes.validation
    targets = views * bytes_of_view(
        teachers=len(study.teachers), images=images, classes=len(info.classes)
    )
    data = sum(file.stat().st_size for file in dataset.folder.iterdir())
    return round(served + weights + stages + targets + data)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _steps(recipe: Recipe, branches: Sequence[Recipe], dataset: Dataset) -> int:
    """Count the training steps of a whole trial, including pruning and quantization."""
    epochs = recipe.training.epochs
    trained = 0 if recipe.student.starts_trained else epochs
    prunings = {recipe.pruning, *(branch.pruning for branch in branches)}
    pruning = sum(round(epochs * pruning.training_share) for pruning in prunings)
    tuning = round(epochs * recipe.quantization.tuning_share)
    learned = for_learning(dataset, by_labels=recipe.distillation.uses_labels).training
    steps_per_epoch = max(1, len(learned) // recipe.training.batch_size)
    return (trained + pruning + tuning) * steps_per_epoch


def _step_seconds(
    distiller: Distiller,
    requirements: StudentRequirements,
    training: Training,
    distillation: Distillation,
    *,
    live: Sequence[nn.Module] = (),
) -> float:
    """Return the median seconds of a training step on the CPU.

    Args:
        distiller: the student.
        requirements: the requirements on it.
        training: the training method.
        distillation: the distillation method.
        live: the teachers that compute their logits in each step.
    """
    batch = training.batch_size
    images = torch.randn(batch, *requirements.image_shape)
    labels = torch.randint(requirements.classes, (batch,))
    members = torch.randn(1, batch, requirements.classes)
    fit = training.fit(distiller.train(), epochs=1, steps_per_epoch=_TIMED_STEPS + 1)
    durations = []
    for _ in range(_TIMED_STEPS + 1):
        start = time.perf_counter()
        fit.optimizer.zero_grad()
        with torch.no_grad():
            members = torch.stack([one(images) for one in live]) if live else members
        logits, maps = distiller(images)
        predicted = DistillationBatch(
            logits, labels, teacher=members[0], members=members, maps=maps
        )
        distillation.loss(predicted).backward()  # type: ignore[no-untyped-call]
        fit.optimizer.step()
        durations.append(time.perf_counter() - start)
    return median(durations[1:])
