"""The plan of a study: its space, the share that fits the budget, its duration and disk space.

A plan trains no network to its end and records no trial. It draws recipes at random, builds,
compresses and measures their untrained students, and times a few training steps.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from search.config.final_settings import EPOCHS_FACTOR
from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.config.teacher_settings import TeacherSettings
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.refusals import cause_of, contradictions
from search.data.dataset import Dataset
from search.data.notes import storage_text, warnings
from search.data.prepare import prepare
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.pipeline.balance import ClassBalance
from search.pipeline.checks import check_study, needs_of, student_models
from search.pipeline.setup import requirements_of
from search.pipeline.view_numbers import (
    auto_views,
    most_epochs,
    repetition_warning,
    views_within,
)
from search.records import Cost
from search.samplers.optuna_adapter import Sampler
from search.teachers.outputs import check_outputs
from search.teachers.saved_teacher import architecture, check_features
from search.tuner.branching import branches_of
from search.tuner.effort import (
    TrialTimer,
    disk_bytes,
    final_count,
    finals_seconds,
    search_seconds,
    teacher_seconds,
    torch_threads,
)
from search.tuner.finalists import to_the_end
from search.tuner.loading_time import LoadingTime
from spaces.axes.distillation import Needs
from spaces.recipe import Recipe

_Teachers: TypeAlias = tuple[tuple[TeacherSettings, nn.Module], ...]

_DRAWS = 32


@dataclass(frozen=True, kw_only=True)
class DrawnRecipe:
    """A recipe drawn at random, with its predicted or measured cost.

    Attributes:
        params: the recipe's flat parameters.
        cost: the predicted or measured cost of its student; None where it is unknown.
        refusal: why the recipe may not be trained; None if it may.
        seconds: the predicted duration of its trial, with all branches; None if refused.
        final_s: the predicted duration of its training as a finalist; None if refused, or if the
            study has no finalists.
        branches: the maximum number of branches of its trial.
        cause: the refusal without the recipe's own values, to count recipes by cause.
    """

    params: dict[str, Any]
    cost: Cost | None
    refusal: str | None
    seconds: float | None
    final_s: float | None = None
    branches: int = 0
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The plan of a study.

    Attributes:
        study: the study's name.
        images: the number of images for training, validation and test.
        read: what was read, such as the columns of a table, a line for each fact.
        classes: the number of classes.
        balance: the sizes of the largest and the smallest class.
        groups: the number of groups of images that a split keeps together; 0 if none are set.
        augmentation: how training images are changed.
        unused: the number of files and folders of the data that are not used, by kind.
        storage: where the images of each part are, and their size on disk.
        prepared_s: seconds to prepare the data, which the search does not repeat.
        image_s: seconds of one core to load one training image in a trial.
        decoding: the number of processes that decode images for a trial; 0: none.
        warnings: what may be wrong with the data.
        budget: the limits of the budget, by stored name of the cost.
        recipes: the number of recipes in the space; infinity where a range is continuous.
        students: the timm models that the study names, with those that globs and filters matched.
        draws: recipes drawn at random.
        contradictions: the share of all recipes that contradict themselves, by reason.
        views: the number of augmented views with cached logits of the teacher; None without any.
        teacher_s: seconds to train the teacher, if the study asks for that, and for its logits.
        trials_s: seconds for all trials and their branches, with parallel trials as configured.
        finals: the number of finalists with all their seeds, and a refit, if the study asks for it.
        finals_s: seconds to train them, with parallel trials as configured.
        with_gpus: whether trials use GPUs, with which they take less time than predicted.
        disk_bytes: bytes of the students, their stages, the soft targets and the prepared data.
        free_bytes: free bytes on the disk of the artifacts.
    """

    study: str
    images: tuple[int, int, int]
    read: tuple[str, ...]
    classes: int
    balance: ClassBalance
    groups: int
    augmentation: str
    unused: Mapping[str, int]
    storage: str
    prepared_s: float
    image_s: float
    decoding: int
    warnings: tuple[str, ...]
    budget: Mapping[str, float]
    recipes: float
    students: tuple[str, ...]
    draws: tuple[DrawnRecipe, ...]
    contradictions: Mapping[str, float]
    views: int | None
    teacher_s: float
    trials_s: float
    finals: int
    finals_s: float
    with_gpus: bool
    disk_bytes: int
    free_bytes: int

    @property
    def causes(self) -> dict[str, float]:
        """The share of refused draws by cause, the most frequent cause first."""
        counted = Counter(draw.cause for draw in self.draws if draw.cause)
        return {cause: count / len(self.draws) for cause, count in counted.most_common()}

    @property
    def fitting(self) -> tuple[DrawnRecipe, ...]:
        """The draws that would be trained."""
        return tuple(draw for draw in self.draws if draw.refusal is None)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; an infinite number of recipes becomes None."""
        values = asdict(self)
        values["recipes"] = self.recipes if math.isfinite(self.recipes) else None
        values["share_that_fits"] = len(self.fitting) / len(self.draws)
        values["share_refused"] = self.causes
        return values


def plan_study(
    study: Study, *, progress: Callable[[str], None], allow_code: bool = False
) -> StudyPlan:
    """Plan a study without running it.

    Args:
        study: the study.
        progress: receives lines about the current step.
        allow_code: whether a teacher's factory may run its code. Otherwise the plan lacks the
            teacher's time, and does not check the teacher.

    Raises:
        BadInput: the study can't be run.
    """
    check_study(study)
    start = time.perf_counter()
    cache, artifacts = FolderStore.of(study.run.cache), FolderStore.of(study.run.artifacts)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=progress)
    prepared_s = time.perf_counter() - start
    loading = LoadingTime.measured(dataset, study)
    in_trials = loading.in_trials(study)
    requirements = requirements_of(study, dataset.info)
    teachers = _teachers(study, dataset, progress, allow_code=allow_code)
    with torch_threads(study.run.cpus):
        networks = tuple(network for _, network in teachers)
        timer = TrialTimer(requirements, dataset, networks, in_trials)
        draws = tuple(_draws(study, requirements, timer, progress))
    # `check_study` has made sure that the space has recipes without a contradiction.
    sound = [draw for draw in draws if not Recipe.from_params(draw.params).conflict()]
    if sound and all(draw.cost is None for draw in sound):
        raise BadInput(
            f"space must contain a student that can be built, but none of {len(sound)} drawn "
            f"recipes can be built. The reason for the first: {sound[0].refusal}"
        )
    sizes, balance = dataset.info.sizes, ClassBalance.of(dataset)
    made = [(1 + draw.branches, draw.cost) for draw in draws if draw.refusal is None and draw.cost]
    trials_s = search_seconds(study, [d.seconds for d in draws if d.seconds is not None])
    training_s, view_s = _teacher_seconds(study, teachers, requirements, dataset, loading)
    finals_s = finals_seconds(study, [d.final_s for d in draws if d.final_s is not None])
    views = views_within(study, view_s=view_s, search_s=trials_s) if view_s else None
    most_views = _most_views(study, views, view_s=view_s, finals_s=finals_s)
    repeated = repetition_warning(study, views)
    return StudyPlan(
        study=study.study,
        images=(sizes.training, sizes.validation, sizes.test),
        read=dataset.info.read,
        classes=len(dataset.info.classes),
        balance=balance,
        groups=dataset.info.groups,
        augmentation=f"{dataset.info.augmentation} (data.augment)",
        unused=dict(dataset.info.unused),
        storage=storage_text(dataset.stored),
        prepared_s=prepared_s,
        image_s=in_trials.image_s,
        decoding=in_trials.processes,
        warnings=(*warnings(dataset.info), *filter(None, [balance.warning(study.goal), repeated])),
        budget=study.budget.limits(),
        recipes=study.search_space().count(),
        students=student_models(study),
        draws=draws,
        contradictions=contradictions(study),
        views=views,
        teacher_s=training_s + most_views * view_s,
        trials_s=trials_s,
        finals=final_count(study),
        finals_s=finals_s,
        with_gpus=study.run.gpus > 0,
        disk_bytes=disk_bytes(study, made, dataset, views=most_views),
        free_bytes=shutil.disk_usage(_existing(artifacts.folder)).free,
    )


def _teachers(
    study: Study, dataset: Dataset, progress: Callable[[str], None], *, allow_code: bool
) -> _Teachers:
    """Return the teachers' networks without trained weights, which do not change their duration.

    Raises:
        TeacherError: a method needs the features of a teacher that does not provide them, or a
            factory's code fails.
    """
    found, needed = [], needs_of(study)
    features_alone = Needs.FEATURES in needed and Needs.LOGITS not in needed
    for settings in study.teachers:
        if settings.factory and not allow_code:
            progress(
                f"a plan runs {settings.factory} only with --allow-code: without it, the estimate "
                "lacks this teacher's time"
            )
            continue
        may_fit = features_alone or not settings.factory
        network = architecture(
            settings, dataset.info, allow_code=allow_code, fit_classes=may_fit
        ).eval()
        if settings.factory:
            check_outputs(network, dataset.info, factory=settings.factory)
        if Needs.FEATURES in needed:
            check_features(network, dataset.info)
        found.append((settings, network))
    return tuple(found)


def _most_views(study: Study, views: int | None, *, view_s: float, finals_s: float) -> int:
    """Return the number of views of the finalists, or of the search if it has more."""
    if views is None or study.final is None or study.search.views != "auto":
        return views or 0
    epochs = study.final.epochs or EPOCHS_FACTOR * most_epochs(study)
    return max(views, auto_views(study, epochs=epochs, view_s=view_s, training_s=finals_s))


def _teacher_seconds(
    study: Study,
    teachers: _Teachers,
    requirements: StudentRequirements,
    dataset: Dataset,
    loading: LoadingTime,
) -> tuple[float, float]:
    """Predict the seconds to train all teachers, and to answer for a view, if methods need it."""
    both = [
        teacher_seconds(settings, network, requirements, dataset, loading)
        for settings, network in teachers
    ]
    training = sum(training for training, _ in both)
    if Needs.LOGITS not in needs_of(study):
        return training, 0.0
    return training, sum(view for _, view in both)


def _draws(
    study: Study,
    requirements: StudentRequirements,
    timer: TrialTimer,
    progress: Callable[[str], None],
) -> Iterable[DrawnRecipe]:
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    # A target that is a node of the cluster can't measure now: a plan does not connect to Ray.
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
            final_s=_final_seconds(recipe, study, timer) if verdict.admitted else None,
            branches=len(branches),
        )


def _final_seconds(recipe: Recipe, study: Study, timer: TrialTimer) -> float | None:
    """Predict the seconds of the recipe as a finalist; None if the study has no finalists."""
    if study.final is None:
        return None
    return timer.seconds(to_the_end(recipe, study.final.epochs), ())


def _branches(recipe: Recipe, study: Study) -> Sequence[Recipe]:
    """Return all possible branches of the recipe's trial."""
    prunings = study.search.branches
    return branches_of(recipe, study.search_space(), prunings=prunings) if prunings else ()


def _existing(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
