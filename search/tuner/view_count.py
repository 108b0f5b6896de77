"""The number of augmented views that the teacher's time allows, measured before the search."""

import time
from collections.abc import Callable
from statistics import median

import torch

from search.config.study import Study
from search.data.dataset import Dataset, normalize
from search.data.joined import for_learning
from search.pipeline.checks import needs_of
from search.pipeline.setup import requirements_of
from search.pipeline.view_numbers import stated_views, views_within
from search.samplers.optuna_adapter import Sampler
from search.teachers.teacher import Teacher
from search.tuner.effort import TrialTimer, search_seconds, torch_threads
from spaces.axes.distillation import Needs

_TIMED_BATCHES = 3
_BATCH = 256
_DRAWS = 6
# If all views take fewer seconds than this, the search's time need not be predicted.
_NEGLIGIBLE_S = 20.0


def count_views(
    study: Study, teacher: Teacher, dataset: Dataset, *, log: Callable[[str], None]
) -> int | None:
    """Return the number of views with cached logits; None if the teacher runs in each step.

    Args:
        study: the study.
        teacher: the teacher, on the device on which it answers.
        dataset: the images.
        log: receives a line with the reason, if there are fewer views than epochs.
    """
    stated = stated_views(study)
    if stated is None or study.search.views != "auto" or Needs.LOGITS not in needs_of(study):
        return stated
    view_s = _seconds_per_view(teacher, dataset)
    if view_s * stated <= _NEGLIGIBLE_S:
        return stated
    search_s = _predicted_seconds(study, dataset)
    count = views_within(study, view_s=view_s, search_s=search_s)
    if count != stated:
        log(
            f"{count} augmented views for up to {stated} epochs: the teacher takes {view_s:.1f} s "
            f"for each, and the search about {search_s:.0f} s (search.teacher_share: "
            f"{study.search.teacher_share:g})"
        )
    return count


@torch.inference_mode()
def _seconds_per_view(teacher: Teacher, dataset: Dataset) -> float:
    """Return the seconds in which the teacher answers for all training images once."""
    learned = for_learning(dataset, by_labels=False).training
    order = torch.arange((1 + _TIMED_BATCHES) * _BATCH) % len(learned)
    durations = []
    start = time.perf_counter()
    for batch in learned.batches(_BATCH, order=order, device=teacher.device):
        images = normalize(batch.images, dataset.info.mean, dataset.info.std)
        for member in teacher.members:
            member(images).cpu()
        durations.append((time.perf_counter() - start) / len(batch.indices))
        start = time.perf_counter()
    return len(learned) * median(durations[1:])


def _predicted_seconds(study: Study, dataset: Dataset) -> float:
    """Predict the seconds of the search from single training steps of some random recipes."""
    timer = TrialTimer(requirements_of(study, dataset.info), dataset, ())
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    found = []
    with torch_threads(study.run.cpus):
        for _ in range(_DRAWS):
            if (recipe := sampler.ask()) is None:
                break
            try:
                found.append(timer.seconds(recipe, ()))
            except (ValueError, RuntimeError):
                continue  # a student that can't be built; the search refuses it too
    return search_seconds(study, found)
