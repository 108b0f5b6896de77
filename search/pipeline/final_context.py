"""The contexts in which finalists and refits are trained; both follow from that of the search."""

from collections.abc import Callable
from dataclasses import replace

from search.config.study import Study
from search.pipeline.refit import REFIT_DATA, refit_dataset
from search.pipeline.study_context import StudyContextSpec
from search.pipeline.teacher_outputs import with_logits
from search.progress import Callback, Step
from search.teachers.prepared import Teacher


def final_context(
    spec: StudyContextSpec,
    study: Study,
    callback: Callback,
    *,
    count_views: Callable[[Teacher], int],
    allow_code: bool,
    step: Step,
) -> StudyContextSpec:
    """Return the context of the finalists, which see all views of the search, and perhaps more.

    Args:
        spec: the context of the search.
        study: the study; it has a section `final`.
        callback: receives lines about the progress.
        count_views: returns the number of views with cached logits.
        allow_code: whether a teacher's factory may run its code.
        step: receives what the preparation does now.

    Raises:
        TeacherError: the teacher can't be loaded any more.
    """
    if spec.targets is None or study.search.views != "auto":
        return spec
    dataset = spec.open_prepared()
    return with_logits(
        spec,
        study,
        dataset,
        callback,
        count_views=count_views,
        allow_code=allow_code,
        step=step,
    )


def refit_context(
    spec: StudyContextSpec, study: Study, callback: Callback, *, allow_code: bool, step: Step
) -> StudyContextSpec:
    """Return the context of a refit: training and validation images are its training images.

    The teacher's logits are computed for the validation images too.

    Args:
        spec: the context of the finalists.
        study: the study.
        callback: receives lines about the progress.
        allow_code: whether a teacher's factory may run its code.
        step: receives what the preparation does now.

    Raises:
        TeacherError: the teacher can't be loaded any more.
    """
    lineage = replace(spec.lineage, data=f"{spec.lineage.data}{REFIT_DATA}")
    spec = replace(spec, is_refit=True, lineage=lineage)
    if spec.targets is None:
        return spec
    dataset, count = refit_dataset(spec.open_prepared(), for_cache=True), spec.views.count
    assert count is not None
    return with_logits(
        spec,
        study,
        dataset,
        callback,
        count_views=lambda _: count,
        allow_code=allow_code,
        step=step,
    )
