"""The predicted times of a study: its teachers, its trials and its finalists."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.config.study import Study
from search.data.dataset import PartSizes
from search.pipeline.checks import needs_of
from search.pipeline.view_numbers import final_epochs, final_views, views_within
from search.tuner.drawn_recipes import DrawnRecipe
from search.tuner.effort import finals_seconds, search_seconds
from spaces.axes.distillation import Needs


@dataclass(frozen=True, kw_only=True)
class PlannedTimes:
    """The predicted times, in seconds, and the number of views for which there is time.

    Attributes:
        views: the number of augmented views with cached logits of the teacher; None without any.
        most_views: the same for the finalists, if they have more; 0 without any.
        teacher_s: to train the teachers, and to answer for the views; once more for a refit.
        trials_s: for all trials and their branches.
        finals_s: for all finalists, and the refit.
    """

    views: int | None
    most_views: int
    teacher_s: float
    trials_s: float
    finals_s: float

    @classmethod
    def of(
        cls,
        study: Study,
        draws: Sequence[DrawnRecipe],
        sizes: PartSizes,
        *,
        training_s: float,
        view_s: float,
    ) -> "PlannedTimes":
        """Return the times of a study.

        Args:
            study: the study.
            draws: recipes of its space, with their predicted durations.
            sizes: the numbers of the images.
            training_s: the seconds of the teachers' trainings.
            view_s: the seconds in which the teachers answer for one view of the training images.
        """
        trials_s = search_seconds(study, [d.seconds for d in draws if d.seconds is not None])
        finals_s = finals_seconds(study, [d.final_s for d in draws if d.final_s is not None])
        is_asked = Needs.LOGITS in needs_of(study)
        views = views_within(study, view_s=view_s, search_s=trials_s) if is_asked else None
        most_views = _most_views(study, views, view_s=view_s, finals_s=finals_s)
        rounds = 1.0  # in training images
        if study.final is not None and study.final.refit:
            rounds += 1 + sizes.validation / sizes.training
        return cls(
            views=views,
            most_views=most_views,
            teacher_s=training_s + rounds * most_views * view_s,
            trials_s=trials_s,
            finals_s=finals_s,
        )


def _most_views(study: Study, views: int | None, *, view_s: float, finals_s: float) -> int:
    """Return the number of views of the finalists, or of the search if it has more."""
    if views is None or study.final is None or study.search.views != "auto" or not view_s:
        return views or 0
    return final_views(study, views, epochs=final_epochs(study), view_s=view_s, finals_s=finals_s)
