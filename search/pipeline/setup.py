"""Work before the first trial: prepare data, teacher and soft targets, and return their paths."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from search.config.resources import decoding_processes, preparing_device, training_device
from search.config.student_spec import StudentRequirements
from search.config.study import RunSettings, Study
from search.config.target_settings import TargetSettings
from search.data.dataset import DataInfo, Dataset
from search.data.notes import notes
from search.data.prepare import prepare
from search.data.views.view import Views
from search.errors import TargetError
from search.evaluation.measure import predictions, quality
from search.evaluation.onnx_metadata import described, metadata_bytes
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, write_predictions
from search.files.disk import scratch
from search.files.filestore import FolderStore
from search.objectives.counting import count_cost
from search.pipeline.balance import ClassBalance
from search.pipeline.checks import check_study, needs_of
from search.pipeline.given_weights import GivenWeights, fitting_weights, prepare_weights
from search.pipeline.lineage import Lineage
from search.pipeline.study_context import StudyContextSpec
from search.pipeline.view_numbers import repetition_warning, stated_views
from search.progress import Callback, Step, no_step
from search.records import Scalar, TeacherRecord
from search.storage.artifact_owner import Claim
from search.targets.agent_client import describe_agent
from search.targets.float_student import FloatStudent
from search.targets.registry import runtime
from search.targets.this_machine import load_here
from search.targets.timing import time_cost
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import check_members_features, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from spaces.axes.distillation import Needs
from spaces.processor import multiplies_int8_exactly
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32

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

    Raises:
        ArtifactsHeld: the artifacts folder belongs to another study, store or process.
        BadInput: for the reasons of `check_study`.
        DataError: the data can't be used.
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
    context = _teacher_context(study, dataset, here, callback, allow_code=allow_code, step=step)
    teacher = prepare_teacher(study.stated_teachers, context)
    views = views_of(study, dataset, count_views(study, teacher, dataset))
    if warning := repetition_warning(study, views.count):
        callback.note(f"warning: {warning}")
    spec = _spec(study, dataset, teacher, views, claim=claim, allow_code=allow_code)
    spec = _with_weights(spec, prepare_weights(study, teacher, context))
    spec = _with_teacher_outputs(spec, study, teacher, dataset, context)
    step("measuring the teacher")
    record = _measure_teacher(teacher, dataset, claim, study.budget.target, callback)
    _free_gpu(teacher, here)
    return spec, record


def with_logits(
    spec: StudyContextSpec, study: Study, dataset: Dataset, callback: Callback, *,
    count_views: Callable[[Teacher], int], allow_code: bool, step: Step,
) -> StudyContextSpec:  # fmt: skip
    """Return the spec with the teachers' logits for other training images, or for more views.

    The teachers are loaded again; those that the study trained are in the cache.
    """
    here = preparing_device(study.run)
    step("preparing the teacher")
    prepared = spec.open_prepared()
    context = _teacher_context(study, prepared, here, callback, allow_code=allow_code, step=step)
    teacher = prepare_teacher(study.stated_teachers, context)
    views = replace(spec.views, count=count_views(teacher))
    progress, cache = callback.log, spec.cache
    targets = soft_targets(teacher, dataset, views, cache=cache, progress=progress, step=step)
    _free_gpu(teacher, here)
    lineage = replace(spec.lineage, views=views)
    return replace(spec, views=views, lineage=lineage, targets=targets.key)


def _note_data(dataset: Dataset, study: Study, callback: Callback) -> None:
    """Report what the data are, and what may be wrong with them."""
    for line in notes(dataset.info):
        callback.note(line)
    if warning := ClassBalance.of(dataset).warning(study.goal):
        callback.note(f"warning: {warning}")


def _teacher_context(
    study: Study,
    dataset: Dataset,
    device: str,
    callback: Callback,
    *,
    allow_code: bool,
    step: Step,
) -> TeacherContext:
    needed = needs_of(study)
    return TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(study.run.cache),
        seed=study.seed,
        device=device,
        metric=study.goal.metric,
        allow_code=allow_code,
        progress=callback.log,
        step=step,
        features_alone=Needs.FEATURES in needed and Needs.LOGITS not in needed,
    )


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
        dataset=_name_in(cache, dataset.folder),
        views=views,
        device=device,
        claim=claim,
        origin=_origin(study, dataset, teacher),
        lineage=Lineage(
            data=f"{dataset.info.digest}/{dataset.folder.name}",
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


def _with_teacher_outputs(
    spec: StudyContextSpec,
    study: Study,
    teacher: Teacher,
    dataset: Dataset,
    context: TeacherContext,
) -> StudyContextSpec:
    """Cache the teachers' logits and networks that methods of the study need."""
    needed, cache = needs_of(study), spec.cache
    is_live = Needs.LOGITS in needed and spec.views.count is None
    if Needs.LOGITS in needed and not is_live:
        targets = soft_targets(
            teacher,
            dataset,
            spec.views,
            cache=cache,
            progress=context.progress,
            step=context.step,
        )
        spec = replace(spec, targets=targets.key)
    if Needs.FEATURES in needed:
        check_members_features(teacher, dataset.info)
    if Needs.FEATURES in needed or is_live:
        folder = save_teacher(teacher, study.teachers, dataset.info, cache=cache)
        spec = replace(spec, teachers=_name_in(cache, folder))
    return spec


def _name_in(cache: FolderStore, folder: Path) -> str:
    """Return the path relative to the cache: other machines may have another cache path."""
    return folder.relative_to(cache.folder).as_posix()


def _device_here(run: RunSettings, callback: Callback) -> str:
    """Return the device on which this process runs the teacher; log it if trials use another."""
    here = preparing_device(run)
    if here != training_device(run):
        callback.log(
            "this machine has no GPU: the teacher runs on its processor, the trials on the cluster"
        )
    return here


def _free_gpu(teacher: Teacher, device: str) -> None:
    """Move the teacher to the CPU, so that the trials can use the GPU's memory."""
    if device == "cuda":
        teacher.network.cpu()
        torch.cuda.empty_cache()


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


def _measure_teacher(
    teacher: Teacher, dataset: Dataset, claim: Claim, target: TargetSettings, callback: Callback
) -> TeacherRecord:
    """Export the teacher to the artifacts folder, with its predictions, and measure the file."""
    info = dataset.info
    shape = (info.channels, info.image_size, info.image_size)
    serving = runtime(target.runtime)
    with claim.writing(TEACHER) as folder, scratch() as workspace:
        served = folder / serving.file
        float_student = FloatStudent(
            teacher.network, workspace / "floats", shape, pruning=NoPruning()
        )
        serving.make(float_student, served, quantization=Float32(), calibration=())
        serving.annotate(served, described(info))
        found = predictions(load_here(served, target), dataset.validation, dataset)
        write_predictions(folder / PREDICTIONS, {"validation": found})
        cost = count_cost(teacher.network, served, shape)
        try:
            cost = time_cost(cost, served, target)
        except TargetError as error:  # a target that can run the students may be too small for it
            callback.log(f"the teacher's latency was not measured: {error}")
    return TeacherRecord(
        name=teacher.name,
        digest=teacher.digest,
        quality=quality(found, teacher=found.classes),
        cost=cost,
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
