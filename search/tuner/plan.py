"""The plan of a study: its space, the part that fits the budget, its duration and its size.

No network is trained to its end and no trial is recorded: recipes are drawn at random, their
students are built, compressed and measured untrained, and a few training steps are timed.
"""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from search.config.student_spec import StudentRequirements
from search.config.study import Study, TeacherSettings
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.refusals import cause_of, contradictions
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.pipeline.checks import check_study, needs_of, student_models
from search.pipeline.setup import requirements_of
from search.records import Cost
from search.samplers.optuna_adapter import Sampler
from search.teachers.saved_teacher import architecture, check_features
from search.tuner.branching import branches_of
from search.tuner.effort import (
    TrialTimer,
    disk_bytes,
    search_seconds,
    teacher_seconds,
    torch_threads,
)
from spaces.axes.distillation import Needs
from spaces.recipe import Recipe

_Teachers: TypeAlias = tuple[tuple[TeacherSettings, nn.Module], ...]

_DRAWS = 32


@dataclass(frozen=True, kw_only=True)
class DrawnRecipe:
    """A recipe drawn at random, with its cost as admission knows it; `refusal` is None if admitted.

    Attributes:
        seconds: of its trial, with all branches.
        branches: the largest number of further students made from its own.
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
    """The plan of a study.

    Attributes:
        study: its name.
        images: in training, validation and test.
        classes: of the data.
        budget: its limits, by stored name of the cost.
        recipes: in the space; infinity where a range is continuous.
        students: the models that globs and filters matched, or that were named.
        draws: recipes drawn at random.
        contradictions: the share of all recipes that contradict themselves, by reason.
        teacher_s: for training the teacher, where that is asked for, and its soft targets.
        trials_s: for all trials and their branches, side by side as the run's settings say.
        with_gpus: whether trials have GPUs, which take less time than predicted.
        disk_bytes: of the students and their stages, soft targets and prepared data.
        free_bytes: on the disk that holds the artifacts.
    """

    study: str
    images: tuple[int, int, int]
    classes: int
    budget: Mapping[str, float]
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
        """The refused share of the draws, by cause, the most frequent first."""
        counted = Counter(draw.cause for draw in self.draws if draw.cause)
        return {cause: count / len(self.draws) for cause, count in counted.most_common()}

    @property
    def fitting(self) -> tuple[DrawnRecipe, ...]:
        """The draws that would be trained."""
        return tuple(draw for draw in self.draws if draw.refusal is None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; an infinite number of recipes is null."""
        values = asdict(self)
        values["recipes"] = self.recipes if math.isfinite(self.recipes) else None
        values["share_that_fits"] = len(self.fitting) / len(self.draws)
        values["share_refused"] = self.causes
        return values


def plan_study(study: Study, *, progress: Callable[[str], None]) -> StudyPlan:
    """Plan a study without running it.

    Raises:
        BadInput: the study can't be run.
    """
    check_study(study)
    cache, artifacts = FolderStore.of(study.run.cache), FolderStore.of(study.run.artifacts)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=progress)
    requirements = requirements_of(study, dataset.info)
    teachers = _teachers(study, dataset, progress)
    with torch_threads(study.run.cpus):
        draws = tuple(_draws(study, requirements, dataset, teachers, progress))
    # There are others that don't contradict themselves, as the study was checked.
    sound = [draw for draw in draws if not Recipe.from_params(draw.params).conflict()]
    if sound and all(draw.cost is None for draw in sound):
        raise BadInput(f"space: no recipe of it can be built; the first: {sound[0].refusal}")
    sizes = dataset.info.sizes
    made = [(1 + draw.branches, draw.cost) for draw in draws if draw.refusal is None and draw.cost]
    return StudyPlan(
        study=study.study,
        images=(sizes.training, sizes.validation, sizes.test),
        classes=len(dataset.info.classes),
        budget=study.budget.limits(),
        recipes=study.search_space().count(),
        students=student_models(study),
        draws=draws,
        contradictions=contradictions(study),
        teacher_s=sum(
            teacher_seconds(study, settings, network, requirements, dataset)
            for settings, network in teachers
        ),
        trials_s=search_seconds(study, [d.seconds for d in draws if d.seconds is not None]),
        with_gpus=study.run.gpus > 0,
        disk_bytes=disk_bytes(study, made, dataset),
        free_bytes=shutil.disk_usage(_existing(artifacts.folder)).free,
    )


def _teachers(study: Study, dataset: Dataset, progress: Callable[[str], None]) -> _Teachers:
    """Return the teachers' networks, without weights: their cost does not depend on weights.

    Raises:
        TeacherError: a method needs the features of a teacher that does not provide them.
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
    timer = TrialTimer(requirements, dataset, tuple(network for _, network in teachers))
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    # The target may be a machine that is asked only when a search runs.
    feasibility = Feasibility(requirements, CostTable(), timed=requirements.target.resource is None)
    for number in range(_DRAWS):
        if (recipe := sampler.ask()) is None:
            return
        progress(f"recipe {number + 1} of {_DRAWS}: {recipe.student}")
        verdict = feasibility.judge(recipe)
        branches = _branches(recipe, study) if verdict.admitted else ()
        yield DrawnRecipe(
            params=recipe.to_params(),
            cost=verdict.cost,
            refusal=verdict.reason or None,
            cause=None if verdict.admitted else cause_of(verdict, requirements),
            seconds=timer.seconds(recipe, branches) if verdict.admitted else None,
            branches=len(branches),
        )


def _branches(recipe: Recipe, study: Study) -> Sequence[Recipe]:
    """Return the most recipes that may be made from the recipe's student besides its own."""
    prunings = study.search.branches
    return branches_of(recipe, study.search_space(), prunings=prunings) if prunings else ()


def _existing(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
