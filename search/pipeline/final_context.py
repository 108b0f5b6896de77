"""The contexts in which finalists and refits are trained; both follow from that of the search."""

from dataclasses import replace

from search.config.study import Study
from search.pipeline.refit import REFIT_DATA, refit_dataset
from search.pipeline.setup import with_logits
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback, Step


def final_context(
    spec: StudyContextSpec, study: Study, callback: Callback, *, allow_code: bool, step: Step
) -> StudyContextSpec:
    """Return the context of the finalists.

    This is the only place that decides what finalists see: which views, and which logits of the
    teacher. At present it is what the trials of the search see.

    Args:
        spec: the context of the search.
        study: the study; it has a section `final`.
        callback: receives lines about the progress.
        allow_code: whether a teacher's factory may run its code.
        step: receives what the preparation does now.
    """
    return spec


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
    dataset = refit_dataset(spec.open_prepared(), for_cache=True)
    return with_logits(spec, study, dataset, callback, allow_code=allow_code, step=step)
