"""How many augmented views of each image the teacher answers before the search.

Students learn from cached answers of the teacher. With as many views as epochs, a student sees a
new view in each epoch, as with a teacher that runs in every step. Each view costs the teacher a
pass over the training images.
"""

from search.config.study import Study
from search.pipeline.checks import needs_of
from spaces.axes.distillation import Needs

LEAST_VIEWS = 4
"""The number of views that `auto` prepares at any rate, if there are as many epochs."""

_MOST_EPOCHS_PER_VIEW = 4


def most_epochs(study: Study) -> int:
    """Return the largest number of epochs for which a recipe of the study trains a student."""
    methods = study.search_space().axes["training"].values()
    return max(int(edge) for params in methods for edge in params["epochs"].edges())


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


def repetition_warning(study: Study, views: int | None) -> str | None:
    """Return a warning if students see the same views many times; None if they do not."""
    epochs = most_epochs(study)
    if views is None or Needs.LOGITS not in needs_of(study):
        return None
    if epochs <= views * _MOST_EPOCHS_PER_VIEW:
        return None
    return (
        f"students see each of the {views} augmented views in up to {epochs / views:.0f} epochs: "
        "with more views they would be more accurate (search.views, search.teacher_share)"
    )
