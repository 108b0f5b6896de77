"""The number of augmented views that the teacher's time allows, measured before the search."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from statistics import median

import torch

from search.config.resources import parallel_trials
from search.config.study import Study
from search.data.dataset import Dataset
from search.data.joined import for_learning
from search.data.views.view import View
from search.pipeline.checks import needs_of
from search.pipeline.setup import requirements_of
from search.pipeline.view_numbers import auto_views, final_views, stated_views
from search.teachers.logits_cache import answered_at_once, answers
from search.teachers.prepared import Teacher
from search.tuner.drawn_recipes import draw_recipes
from search.tuner.effort import TrialTimer, search_seconds, torch_threads
from search.tuner.loading_time import LoadingTime
from spaces.axes.distillation import Needs
from spaces.recipe import Recipe

_TIMED_BATCHES = 3
_TIMED_RECIPES = 6
# If all views take fewer seconds than this, the search's time need not be predicted.
_NEGLIGIBLE_S = 20.0


def count_views(
    study: Study,
    teacher: Teacher,
    dataset: Dataset,
    *,
    log: Callable[[str], None],
    known: int | None = None,
    quiet: Callable[[], None] = lambda: None,
) -> int | None:
    """Return the number of views with cached logits; None if the teacher runs in each step.

    Args:
        study: the study.
        teacher: the teacher, on the device on which it answers.
        dataset: the images.
        log: receives a line with the reason, if there are fewer views than epochs.
        known: the number that an earlier run of the study found, if any. `auto` keeps it, since
            another number would change what its students see.
        quiet: is called before a long time is measured; waits until the workers have started.
    """
    stated = stated_views(study)
    if stated is None or study.search.views != "auto" or Needs.LOGITS not in needs_of(study):
        return stated
    if known is not None:
        return known
    # Timed while the workers start, a view only seems to take longer than it does.
    if _seconds_per_view(study, teacher, dataset) * stated <= _NEGLIGIBLE_S:
        return stated
    quiet()
    return _within_the_share(study, teacher, dataset, epochs=stated, log=log)


def count_final_views(
    study: Study,
    finalists: Sequence[Recipe],
    teacher: Teacher,
    dataset: Dataset,
    *,
    known: int,
    log: Callable[[str], None],
) -> int:
    """Return the number of views of the finalists of a study with `views: auto`.

    Args:
        study: the study.
        finalists: the recipe of each finalist and seed, with its final number of epochs.
        teacher: the teacher, on the device on which it answers.
        dataset: the images.
        known: the number of views of the search.
        log: receives a line with the reason, if there are fewer views than epochs.
    """
    epochs = most_taught_epochs(finalists)
    if epochs <= known:
        return known
    view_s = _seconds_per_view(study, teacher, dataset)
    if view_s * (epochs - known) <= _NEGLIGIBLE_S:
        return epochs
    finals_s = sum(_seconds_of(study, dataset, finalists)) / parallel_trials(study.run)
    count = final_views(study, known, epochs=epochs, view_s=view_s, finals_s=finals_s)
    _tell(study, count, epochs=epochs, view_s=view_s, training_s=finals_s, log=log)
    return count


def most_taught_epochs(recipes: Iterable[Recipe]) -> int:
    """Return the largest number of epochs of a recipe that learns from the teacher's logits."""
    taught = [one for one in recipes if one.distillation.needs is Needs.LOGITS]
    return max((one.training.epochs for one in taught), default=0)


def _within_the_share(
    study: Study, teacher: Teacher, dataset: Dataset, *, epochs: int, log: Callable[[str], None]
) -> int:
    """Return the number of views that the teacher's share of the search's time allows."""
    view_s = _seconds_per_view(study, teacher, dataset)
    if view_s * epochs <= _NEGLIGIBLE_S:
        return epochs
    training_s = _predicted_seconds(study, dataset)
    count = auto_views(study, epochs=epochs, view_s=view_s, training_s=training_s)
    _tell(study, count, epochs=epochs, view_s=view_s, training_s=training_s, log=log)
    return count


def _tell(
    study: Study,
    count: int,
    *,
    epochs: int,
    view_s: float,
    training_s: float,
    log: Callable[[str], None],
) -> None:
    """Log the reason if there are fewer views than epochs."""
    if count != epochs:
        log(
            f"{count} augmented views for up to {epochs} epochs: the teacher takes {view_s:.1f} s "
            f"for each, and training about {training_s:.0f} s (search.teacher_share: "
            f"{study.search.teacher_share:g})"
        )


def _seconds_per_view(study: Study, teacher: Teacher, dataset: Dataset) -> float:
    """Return the seconds in which the teacher answers for a view of all training images."""
    learned = for_learning(dataset, by_labels=False)
    count = answered_at_once(teacher, learned)
    order = torch.arange((1 + _TIMED_BATCHES) * count) % len(learned.training)
    view = View(number=0, seed=study.seed, augmentation=dataset.info.augmentation)
    durations = []
    start = time.perf_counter()
    for indices, _ in answers(teacher, learned, view, order=order):
        durations.append((time.perf_counter() - start) / len(indices))
        start = time.perf_counter()
    return len(learned.training) * median(durations[1:])


def _predicted_seconds(study: Study, dataset: Dataset) -> float:
    """Predict the seconds of the search from some random recipes that it may train."""
    timer, requirements = _timer(study, dataset), requirements_of(study, dataset.info)
    with torch_threads(study.run.cpus):
        draws = draw_recipes(study, requirements, timer, lambda line: None)
        admitted = (draw.seconds for draw in draws if draw.seconds is not None)
        return search_seconds(study, [*islice(admitted, _TIMED_RECIPES)])


def _seconds_of(study: Study, dataset: Dataset, recipes: Sequence[Recipe]) -> Iterator[float]:
    """Predict the seconds of each recipe's trial from single training steps."""
    timer = _timer(study, dataset)
    with torch_threads(study.run.cpus):
        for recipe in recipes:
            with suppress(ValueError, RuntimeError):  # a student that can't be built
                yield timer.seconds(recipe, ())


def _timer(study: Study, dataset: Dataset) -> TrialTimer:
    loading = LoadingTime.measured(dataset, study).in_trials(study)
    return TrialTimer(requirements_of(study, dataset.info), dataset, (), loading)
