"""What a study would do: its space, what of it fits the budget, how long and how large it gets.

Nothing is trained to any end and no trial is recorded: recipes are drawn at random, their students
are built, compressed and measured untrained, and a few training steps of each network are timed.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeAlias

import torch
from torch import nn

from search.config.resources import parallel_trials
from search.config.student_spec import StudentRequirements
from search.config.study import Study, TeacherSettings
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.refusals import cause_of, contradictions
from search.data.dataset import Dataset
from search.data.joined import for_learning
from search.data.prepare import prepare
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.objectives.limits import PARAMETERS, SIZE
from search.pipeline.checks import check_study, needs_of, student_models
from search.pipeline.setup import brief_of
from search.records import Cost
from search.samplers.optuna_adapter import Sampler
from search.teachers.saved_teacher import architecture, check_features
from search.training.distiller import Distiller
from search.tuner.branching import branches_of
from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.axes.student import Student
from spaces.axes.training import Training
from spaces.distillation.labels import Labels
from spaces.recipe import Recipe
from spaces.training.standard import Standard

_Teachers: TypeAlias = tuple[tuple[TeacherSettings, nn.Module], ...]

_DRAWS = 32
_TIMED_STEPS = 3
# Around training: admission, export, quantization and measuring, as the trials' stages show.
_OVERHEAD_S = 2.5


@dataclass(frozen=True, kw_only=True)
class DrawnRecipe:
    """A recipe drawn at random: its cost as admission knows it; None in `refusal` is admitted.

    Attributes:
        seconds: that its trial takes, with all branches.
        branches: how many more students are made of its own, at the most.
        cause: the refusal in general words, the same for all recipes that share it.
    """

    params: dict[str, Any]
    cost: Cost | None
    refusal: str | None
    seconds: float | None
    branches: int = 0
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study would do.

    Attributes:
        study: its name.
        images: in training, validation and test.
        classes: of the data.
        recipes: in the space; infinity where a range is continuous.
        students: the models that globs and filters came to, or that were named.
        draws: recipes drawn at random.
        contradictions: the share of all recipes that contradict themselves, by reason.
        teacher_s: for training the teacher, where that is asked for, and its soft targets.
        trials_s: for all trials and their branches, side by side as the run's settings say.
        with_gpus: whether trials have GPUs, which take less time than is told.
        disk_bytes: of the students and their stages, soft targets and prepared data.
        free_bytes: on the disk that holds the artifacts.
    """

    study: str
    images: tuple[int, int, int]
    classes: int
    recipes: float
    students: tuple[str, ...]
    draws: tuple[DrawnRecipe, ...]
    contradictions: Mapping[str, float]
    teacher_s: float
    trials_s: float
    with_gpus: bool
    disk_bytes: int
    free_bytes: int

    @property
    def causes(self) -> dict[str, float]:
        """The share of the draws that is refused, by cause, the most frequent first."""
        counted = Counter(draw.cause for draw in self.draws if draw.cause)
        return {cause: count / len(self.draws) for cause, count in counted.most_common()}

    @property
    def fitting(self) -> tuple[DrawnRecipe, ...]:
        """The draws that would be trained."""
        return tuple(draw for draw in self.draws if draw.refusal is None)

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite number of recipes is null."""
        values = asdict(self)
        values["recipes"] = self.recipes if math.isfinite(self.recipes) else None
        values["share_that_fits"] = len(self.fitting) / len(self.draws)
        values["share_refused"] = self.causes
        return values


def plan_study(study: Study, *, progress: Callable[[str], None]) -> StudyPlan:
    """Looks at a study without running it.

    Raises:
        BadInput: the study can't be run.
    """
    check_study(study)
    cache, artifacts = FolderStore.of(study.run.cache), FolderStore.of(study.run.artifacts)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=progress)
    requirements = brief_of(study, dataset.info)
    teachers = _teachers(study, dataset, progress)
    with _threads(study.run.cpus):
        draws = tuple(_draws(study, requirements, dataset, teachers, progress))
    # Others that don't contradict themselves there are, as the study was checked.
    sound = [draw for draw in draws if not Recipe.from_params(draw.params).conflict()]
    if sound and all(draw.cost is None for draw in sound):
        raise BadInput(f"space: no recipe of it can be built; the first: {sound[0].refusal}")
    sizes = dataset.info.sizes
    return StudyPlan(
        study=study.study,
        images=(sizes.training, sizes.validation, sizes.test),
        classes=len(dataset.info.classes),
        recipes=study.search_space().count(),
        students=student_models(study),
        draws=draws,
        contradictions=contradictions(study),
        teacher_s=sum(
            _teacher_seconds(study, settings, network, requirements, dataset)
            for settings, network in teachers
        ),
        trials_s=_trials_seconds(study, draws),
        with_gpus=study.run.gpus > 0,
        disk_bytes=_disk_bytes(study, draws, dataset),
        free_bytes=shutil.disk_usage(_existing(artifacts.folder)).free,
    )


def _teachers(study: Study, dataset: Dataset, progress: Callable[[str], None]) -> _Teachers:
    """The teachers' networks, without their weights: what they cost does not depend on them.

    Raises:
        TeacherError: a method needs the features of one that does not give them.
    """
    found = []
    for settings in study.teachers:
        if settings.factory:
            progress(f"{settings.factory} is not run by a plan: its time is not in the estimate")
            continue
        network = architecture(settings, dataset.info, allow_code=False).eval()
        if Needs.FEATURES in needs_of(study):
            check_features(network, dataset.info)
        found.append((settings, network))
    return tuple(found)


def _draws(
    study: Study,
    requirements: StudentRequirements,
    dataset: Dataset,
    teachers: _Teachers,
    progress: Callable[[str], None],
) -> Iterable[DrawnRecipe]:
    networks = tuple(network for _, network in teachers)
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    # The target may be a machine that is asked only once there is a search.
    feasibility = Feasibility(requirements, CostTable(), timed=requirements.target.resource is None)
    step_seconds: dict[tuple[Student, int, str], float] = {}
    for number in range(_DRAWS):
        if (proposal := sampler.ask()) is None:
            return
        progress(f"recipe {number + 1} of {_DRAWS}: {proposal.recipe.student}")
        recipe = proposal.recipe
        verdict = feasibility.judge(recipe)
        seconds = None
        branches: Sequence[Recipe] = ()
        if verdict.admitted:
            key = recipe.student, recipe.training.batch_size, recipe.distillation.name
            if key not in step_seconds:
                student = requirements.build(recipe.student, blank=True)
                # A factory's teacher is not at hand, so that only the student's part is timed.
                absent = recipe.distillation.needs is Needs.FEATURES and not networks
                method = Labels() if absent else recipe.distillation
                distiller = Distiller(student, method, networks, requirements.example())
                step_seconds[key] = _step_seconds(distiller, requirements, recipe.training, method)
            branches = _branches(recipe, study)
            steps = _steps(recipe, branches, dataset)
            seconds = step_seconds[key] * steps + (1 + len(branches)) * _OVERHEAD_S
        yield DrawnRecipe(
            params=recipe.to_params(),
            cost=verdict.cost,
            refusal=verdict.reason or None,
            cause=None if verdict.admitted else cause_of(verdict, requirements),
            seconds=seconds,
            branches=len(branches),
        )


def _branches(recipe: Recipe, study: Study) -> Sequence[Recipe]:
    """What is made of the recipe's student besides, at the most."""
    prunings = study.search.branches
    return branches_of(recipe, study.search_space(), prunings=prunings) if prunings else ()


def _steps(recipe: Recipe, branches: Sequence[Recipe], dataset: Dataset) -> int:
    """Training steps of a whole trial, those that pruning and quantization ask for included."""
    epochs = recipe.training.epochs
    prunings = {recipe.pruning, *(branch.pruning for branch in branches)}
    pruning = sum(round(epochs * pruning.training_share) for pruning in prunings)
    tuning = round(epochs * recipe.quantization.tuning_share)
    learned = for_learning(dataset, by_labels=recipe.distillation.uses_labels).training
    steps_per_epoch = max(1, len(learned) // recipe.training.batch_size)
    return (epochs + pruning + tuning) * steps_per_epoch


def _step_seconds(
    distiller: Distiller,
    requirements: StudentRequirements,
    training: Training,
    distillation: Distillation,
) -> float:
    """Median seconds of a training step on the CPU."""
    batch = training.batch_size
    images = torch.randn(batch, *requirements.image_shape)
    labels = torch.randint(requirements.classes, (batch,))
    taught = torch.randn(1, batch, requirements.classes)
    fit = training.fit(distiller.train(), epochs=1, steps_per_epoch=_TIMED_STEPS + 1)
    taken = []
    for _ in range(_TIMED_STEPS + 1):
        start = time.perf_counter()
        fit.optimizer.zero_grad()
        logits, maps = distiller(images)
        predicted = DistillationBatch(logits, labels, teacher=taught[0], members=taught, maps=maps)
        distillation.loss(predicted).backward()  # type: ignore[no-untyped-call]
        fit.optimizer.step()
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def _trials_seconds(study: Study, draws: Sequence[DrawnRecipe]) -> float:
    seconds = [draw.seconds for draw in draws if draw.seconds is not None]
    rounds = math.ceil(study.search.trials / parallel_trials(study.run))
    longest = study.search.max_time or math.inf
    return min(longest, mean(seconds) * rounds) if seconds else 0.0


def _teacher_seconds(
    study: Study,
    settings: TeacherSettings,
    network: nn.Module,
    requirements: StudentRequirements,
    dataset: Dataset,
) -> float:
    """For training the teacher to its last epoch, where it is trained here, and for its logits."""
    batch_size = settings.train.batch_size if settings.train else 64
    distiller = Distiller(network, Labels(), (), requirements.example())
    step = _step_seconds(distiller, requirements, Standard(batch_size=batch_size), Labels())
    steps = len(dataset.training) / batch_size
    # A step is about three forward passes.
    asked = Needs.LOGITS in needs_of(study)
    images = len(for_learning(dataset, by_labels=False).training)
    views = study.search.views * images / batch_size * step / 3 if asked else 0.0
    return views + (settings.train.epochs * steps * step if settings.train else 0.0)


def _disk_bytes(study: Study, draws: Sequence[DrawnRecipe], dataset: Dataset) -> int:
    """Of the students (the served file, and float weights), their stages, the soft targets and the
    data.
    """
    made = [(1 + draw.branches, draw.cost) for draw in draws if draw.refusal is None and draw.cost]
    trials = study.search.trials
    served = trials * mean(count * cost[SIZE.cost] for count, cost in made) if made else 0
    weights = (
        trials * mean(count * 4 * cost[PARAMETERS.cost] for count, cost in made) if made else 0
    )
    stages = min(study.run.stages, weights)
    info = dataset.info
    logits = len(study.teachers) * len(info.classes) if Needs.LOGITS in needs_of(study) else 0
    images = info.sizes.training + info.unlabelled
    targets = study.search.views * images * logits * 2
    data = sum(file.stat().st_size for file in dataset.folder.iterdir())
    return round(served + weights + stages + targets + data)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch, as a trial has."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _existing(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
