"""Work before the first trial: prepare data, teacher and soft targets, and return their paths."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version

from search.config.resources import decoding_processes, preparing_device, training_device
from search.config.student_spec import StudentRequirements
from search.config.study import RunSettings, Study
from search.config.target_settings import TargetSettings
from search.data.dataset import DataInfo, Dataset
from search.data.notes import notes
from search.data.prepare import prepare
from search.data.views.view import Views
from search.evaluation.onnx_metadata import metadata_bytes
from search.files.filestore import FolderStore
from search.pipeline.balance import ClassBalance
from search.pipeline.checks import check_study
from search.pipeline.floor_classes import floor_warnings
from search.pipeline.given_weights import GivenWeights, fitting_weights, prepare_weights
from search.pipeline.lineage import Lineage
from search.pipeline.measured_teacher import measure_teacher
from search.pipeline.study_context import StudyContextSpec
from search.pipeline.teacher_outputs import (
    free_gpu,
    name_in,
    teacher_context,
    with_teacher_outputs,
)
from search.pipeline.view_numbers import repetition_warning, stated_views
from search.progress import Callback, Step, no_step
from search.records import Scalar, TeacherRecord
from search.storage.artifact_owner import Claim
from search.targets.agent_client import describe_agent
from search.targets.registry import runtime
from search.teachers.prepared import Teacher
from search.teachers.teacher import prepare_teacher
from spaces.processor import multiplies_int8_exactly

# Returns the number of views with cached logits; None if the teacher runs in each step.
CountViews = Callable[[Study, Teacher, Dataset], int | None]

_LIBRARIES = ("retort", "torch", "timm", "torch-pruning")


def prepare_context(
    study: Study,
    callback: Callback,
    *,
    count_views: CountViews = lambda study, _teacher, _dataset: stated_views(study),
    allow_code: bool = False,
    hold: str = "",
    step: Step = no_step,
    quiet: Callable[[], None] = lambda: None,
) -> tuple[StudyContextSpec, TeacherRecord]:
    """Prepare everything that the trials share, and measure the teacher like a student.

    Args:
        study: the study.
        callback: receives lines about the progress.
        count_views: returns the number of views with cached logits.
        allow_code: whether a teacher's factory may run its code.
        hold: the token of this process's lease on the study; the artifacts folder must belong to
            it or to no study.
        step: receives what the preparation does now.
        quiet: is called before the teacher is timed; waits until this run's workers have started.

    Raises:
        ArtifactsHeld: the artifacts folder belongs to another study, store or process.
        BadInput: for the reasons of `check_study`.
        DataError: the data can't be used, or the budget names a class that they do not have.
        TeacherError: the teacher can't be loaded or does not fit the data.
    """
    check_study(study)
    _warn_of_other_products(study.budget.target, callback)
    claim = Claim(FolderStore.of(study.run.artifacts) / study.study, hold)
    cache = FolderStore.of(study.run.cache)
    here = _device_here(study.run, callback)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=callback.log, step=step)
    _note_data(dataset, study, callback)
    step("preparing the teacher")
    context = teacher_context(study, dataset, here, callback, allow_code=allow_code, step=step)
    teacher = prepare_teacher(study.stated_teachers, context)
    views = views_of(study, dataset, count_views(study, teacher, dataset))
    if warning := repetition_warning(study, views.count):
        callback.note(f"warning: {warning}")
    spec = _spec(study, dataset, teacher, views, claim=claim, allow_code=allow_code)
    spec = _with_weights(spec, prepare_weights(study, teacher, context))
    spec = with_teacher_outputs(spec, study, teacher, dataset, context)
    step("waiting for the workers, to measure the teacher undisturbed")
    quiet()
    step("measuring the teacher")
    record = measure_teacher(teacher, dataset, claim, study.budget, callback)
    free_gpu(teacher, here)
    return spec, record


def _note_data(dataset: Dataset, study: Study, callback: Callback) -> None:
    """Report what the data are, and what may be wrong with them."""
    for line in notes(dataset.info):
        callback.note(line)
    doubts = (ClassBalance.of(dataset).warning(study.goal), *floor_warnings(study.budget, dataset))
    for warning in filter(None, doubts):
        callback.note(f"warning: {warning}")


def _spec(
    study: Study,
    dataset: Dataset,
    teacher: Teacher,
    views: Views,
    *,
    claim: Claim,
    allow_code: bool,
) -> StudyContextSpec:
    """Return the shared context of the trials, without the teacher's logits and networks."""
    cache, device = FolderStore.of(study.run.cache), training_device(study.run)
    return StudyContextSpec(
        study=study.study,
        requirements=requirements_of(study, dataset.info),
        cache=cache,
        dataset=name_in(cache, dataset.folder),
        views=views,
        device=device,
        claim=claim,
        origin=_origin(study, dataset, teacher),
        lineage=Lineage(
            data=dataset.key,
            views=views,
            teacher=teacher.digest,
            device=device,
            metric=study.goal.metric.name,
        ),
        stages=cache / "stages",
        stages_bytes=study.run.stages,
        allow_code=allow_code,
        workers=decoding_processes(study.data, cores=study.run.cpus),
    )


def _with_weights(spec: StudyContextSpec, given: tuple[GivenWeights, ...]) -> StudyContextSpec:
    digests = tuple((one.weights, one.model, one.digest) for one in given)
    return replace(spec, weights=given, lineage=replace(spec.lineage, weights=digests))


def _device_here(run: RunSettings, callback: Callback) -> str:
    """Return the device on which this process runs the teacher; log it if trials use another."""
    here = preparing_device(run)
    if here != training_device(run):
        callback.log(
            "this machine has no GPU: the teacher runs on its processor, the trials on the cluster"
        )
    return here


def requirements_of(study: Study, info: DataInfo) -> StudentRequirements:
    """Return the requirements on every student of the study."""
    return StudentRequirements(
        classes=len(info.classes),
        channels=info.channels,
        image_size=info.image_size,
        budget=study.budget,
        target=study.budget.target,
        metadata_bytes=metadata_bytes(info, study.budget.target.runtime),
        mean=info.mean,
        std=info.std,
        weights=fitting_weights(study, info),
    )


def views_of(study: Study, dataset: Dataset, count: int | None) -> Views:
    """Return the augmented views of each training image that students see.

    Args:
        study: the study.
        dataset: the images.
        count: the number of views with cached logits; None if the teacher runs in each step.
    """
    return Views(seed=study.seed, augmentation=dataset.info.augmentation, count=count)


def _warn_of_other_products(target: TargetSettings, callback: Callback) -> None:
    """Warn if sums of int8 products are exact on this machine, but not on the target.

    The machine that trains the students also makes int8 files and measures their predictions.
    """
    if target.agent is None or not multiplies_int8_exactly():
        return
    machine = describe_agent(target.agent, target.runtime)
    if machine.exact_int8 is False:
        callback.log(
            "warning: int8 students may be less accurate on the target than measured here. This "
            "machine adds int8 products exactly, but the target's processor, "
            f"{machine.processor}, does not. Search on a machine with such a processor, or leave "
            "int8 out"
        )


def _origin(study: Study, dataset: Dataset, teacher: Teacher) -> tuple[tuple[str, Scalar], ...]:
    """Return the origin of the study's students: the study, hashes and versions."""
    config = json.dumps(study.model_dump(mode="json", exclude={"run"}), sort_keys=True)
    serving = runtime(study.budget.target.runtime)
    origin: Mapping[str, Scalar] = {
        "study": study.study,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "data_sha256": dataset.info.digest,
        "teacher": teacher.name,
        "teacher_sha256": teacher.digest,
        **{library: version(library) for library in _LIBRARIES},
        serving.name: serving.version(),
    }
    return tuple(origin.items())
