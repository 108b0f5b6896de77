"""How many augmented views of each image the teacher answers before the search.

Students learn from cached answers of the teacher. With as many views as epochs, a student sees a
new view in each epoch, as with a teacher that runs in every step. Each view costs the teacher a
pass over the training images.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from search.config.final_settings import EPOCHS_FACTOR
from search.config.study import Study
from search.pipeline.checks import needs_of
from spaces import registry
from spaces.axes.distillation import Needs
from spaces.axes.training import Training
from spaces.distributions import Distribution

LEAST_VIEWS = 4
"""The number of views that `auto` prepares at any rate, if there are as many epochs."""

_MOST_EPOCHS_PER_VIEW = 4


def most_epochs(study: Study) -> int:
    """Return the largest number of epochs for which a recipe of the study trains a student."""
    methods = study.search_space().axes[Training.axis].items()
    return max(epochs for name, params in methods for epochs in _epochs(name, params))


def final_epochs(study: Study) -> int:
    """Return the largest number of epochs of a finalist; 0 if the study has no finalists."""
    if study.final is None:
        return 0
    return study.final.epochs or EPOCHS_FACTOR * most_epochs(study)


def stated_views(study: Study) -> int | None:
    """Return the number of views as the study states it, without a limit on their time.

    Returns:
        The number of views, for `auto` the largest number of epochs; None for `live`.
    """
    if study.search.views == "live":
        return None
    return most_epochs(study) if study.search.views == "auto" else study.search.views


def views_within(study: Study, *, view_s: float, search_s: float) -> int | None:
    """Return the number of views, for `auto` as many as the teacher's share of the time allows.

    Args:
        study: the study.
        view_s: the seconds in which the teacher answers for a view.
        search_s: the predicted seconds of the search.
    """
    stated = stated_views(study)
    if stated is None or study.search.views != "auto" or not view_s:
        return stated
    return auto_views(study, epochs=stated, view_s=view_s, training_s=search_s)


def auto_views(study: Study, *, epochs: int, view_s: float, training_s: float) -> int:
    """Return as many views as the teacher's share of the time allows, at most one for each epoch.

    Args:
        study: the study, with the teacher's share.
        epochs: the largest number of epochs of a training.
        view_s: the seconds in which the teacher answers for a view.
        training_s: the predicted seconds of all trainings.
    """
    allowed = int(study.search.teacher_share * training_s / view_s)
    return min(epochs, max(LEAST_VIEWS, allowed))


def final_views(study: Study, known: int, *, epochs: int, view_s: float, finals_s: float) -> int:
    """Return the number of views of the finalists of a study with `views: auto`.

    The finalists see all views of the search. The teacher's share of their time is for more.

    Args:
        study: the study.
        known: the number of views that are cached already.
        epochs: the largest number of epochs of a finalist that learns from the teacher.
        view_s: the seconds in which the teacher answers for a view.
        finals_s: the predicted seconds of all finalists.
    """
    if epochs <= known:
        return known
    return known + auto_views(study, epochs=epochs - known, view_s=view_s, training_s=finals_s)


def repetition_warning(
    study: Study, views: int | None, *, epochs: int | None = None, whose: str = "students"
) -> str | None:
    """Return a warning if students see the same views many times; None if they do not.

    Args:
        study: the study.
        views: the number of views with cached logits; None if the teacher runs in each step.
        epochs: the largest number of epochs of these students; None for those of the search.
        whose: who sees the views, for people.
    """
    if views is None or Needs.LOGITS not in needs_of(study):
        return None
    epochs = most_epochs(study) if epochs is None else epochs
    if epochs <= views * _MOST_EPOCHS_PER_VIEW:
        return None
    return (
        f"{whose} see each of the {views} augmented views in up to {epochs / views:.0f} epochs: "
        "with more views they would be more accurate (search.views, search.teacher_share)"
    )


def _epochs(method: str, params: Mapping[str, Distribution]) -> Iterator[int]:
    """Yield the extreme numbers of epochs of a training method; its own if it is no parameter."""
    if "epochs" in params:
        yield from map(int, params["epochs"].edges())
    else:
        training: Any = registry.method(Training.axis, method)
        yield int(training.epochs)
