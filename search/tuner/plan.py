"""The plan of a study: its space, the share that fits the budget, its duration and disk space.

A plan trains no network to its end and records no trial. It draws recipes at random, builds,
compresses and measures their untrained students, and times a few training steps.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.config.study import Study
from search.cost_model.refusals import contradictions
from search.data.notes import storage_text, warnings
from search.data.prepare import prepare
from search.errors import BadInput
from search.files.filestore import FolderStore
from search.pipeline.balance import ClassBalance
from search.pipeline.checks import check_study, student_models
from search.pipeline.floor_classes import floor_warnings
from search.pipeline.setup import requirements_of
from search.pipeline.view_numbers import final_epochs, repetition_warning
from search.records import Cost
from search.tuner.drawn_recipes import DrawnRecipe, draw_recipes
from search.tuner.effort import (
    TrialTimer,
    disk_bytes,
    final_count,
    teacher_seconds,
    torch_threads,
)
from search.tuner.loading_time import LoadingTime
from search.tuner.planned_teachers import planned_teachers, teacher_texts, teaching_networks
from search.tuner.planned_times import PlannedTimes
from spaces.recipe import Recipe


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
        floors: the floors of the budget, by stored name of the value.
        recipes: the number of recipes in the space; infinity where a range is continuous.
        students: the timm models that the study names, with those that globs and filters matched.
        draws: recipes drawn at random.
        contradictions: the share of all recipes that contradict themselves, by reason.
        views: the number of augmented views with cached logits of the teacher; None without any.
        teacher: how each teacher is trained or used, a line for each.
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
    floors: Mapping[str, float]
    recipes: float
    students: tuple[str, ...]
    draws: tuple[DrawnRecipe, ...]
    contradictions: Mapping[str, float]
    teacher: tuple[str, ...]
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
    floor_doubts = floor_warnings(study.budget, dataset)
    loading = LoadingTime.measured(dataset, study)
    in_trials = loading.in_trials(study)
    requirements = requirements_of(study, dataset.info)
    teachers = planned_teachers(study, dataset, progress, allow_code=allow_code)
    with torch_threads(study.run.cpus):
        networks = teaching_networks(study, teachers)
        timer = TrialTimer(
            requirements, dataset, networks, in_trials, is_live=study.search.views == "live"
        )
        draws = tuple(draw_recipes(study, requirements, timer, progress))
    _check_some_can_be_built(draws)
    training_s, view_s = teacher_seconds(study, teachers, requirements, dataset, loading)
    sizes, balance = dataset.info.sizes, ClassBalance.of(dataset)
    times = PlannedTimes.of(study, draws, sizes, training_s=training_s, view_s=view_s)
    doubts = (balance.warning(study.goal), *floor_doubts, *_repetitions(study, times))
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
        warnings=(*warnings(dataset.info), *filter(None, doubts)),
        budget=study.budget.limits(),
        floors={floor.name: floor.bound for floor in study.budget.floors()},
        recipes=study.search_space().count(),
        students=student_models(study),
        draws=draws,
        contradictions=contradictions(study),
        views=times.views,
        teacher=tuple(teacher_texts(study)),
        teacher_s=times.teacher_s,
        trials_s=times.trials_s,
        finals=final_count(study),
        finals_s=times.finals_s,
        with_gpus=study.run.gpus > 0,
        disk_bytes=disk_bytes(study, _made(draws), dataset, views=times.most_views),
        free_bytes=shutil.disk_usage(_existing(artifacts.folder)).free,
    )


def _repetitions(study: Study, times: PlannedTimes) -> Iterator[str | None]:
    """Yield a warning each if students or finalists see the same views many times."""
    yield repetition_warning(study, times.views)
    views = times.views and times.most_views
    yield repetition_warning(study, views, epochs=final_epochs(study), whose="finalists")


def _check_some_can_be_built(draws: Sequence[DrawnRecipe]) -> None:
    """Raise BadInput if no drawn recipe has a student that can be built."""
    # `check_study` has made sure that the space has recipes without a contradiction.
    sound = [draw for draw in draws if not Recipe.from_params(draw.params).conflict()]
    if sound and all(draw.cost is None for draw in sound):
        raise BadInput(
            f"space must contain a student that can be built, but none of {len(sound)} drawn "
            f"recipes can be built. The reason for the first: {sound[0].refusal}"
        )


def _made(draws: Sequence[DrawnRecipe]) -> list[tuple[int, Cost]]:
    """Return the number of students of each trial, and the cost of one of them."""
    return [(1 + draw.branches, draw.cost) for draw in draws if draw.refusal is None and draw.cost]


def _existing(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
