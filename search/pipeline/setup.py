"""Work before the first trial: prepare data, teacher and soft targets, and pass on their paths."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from search.config.resources import preparing_device, training_device
from search.config.student_spec import StudentRequirements
from search.config.study import RunSettings, Study
from search.config.target_settings import TargetSettings
from search.data.dataset import DataInfo, Dataset
from search.data.prepare import prepare
from search.data.views import View
from search.errors import TargetError
from search.evaluation.measure import predictions, quality
from search.evaluation.onnx_metadata import described, metadata_bytes
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, write_predictions
from search.files.disk import scratch
from search.files.filestore import FolderStore
from search.objectives.counting import count_cost
from search.pipeline.checks import check_study, needs_of
from search.pipeline.lineage import Lineage
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.records import Scalar, TeacherRecord
from search.storage.artifact_owner import Claim
from search.targets.agent_client import describe_agent
from search.targets.float_student import FloatStudent
from search.targets.registry import runtime
from search.targets.this_machine import load_here
from search.targets.timing import time_cost
from search.teachers.logits_cache import soft_targets
from search.teachers.saved_teacher import save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import Teacher, prepare_teacher
from spaces.axes.distillation import Needs
from spaces.processor import multiplies_int8_exactly
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32

_LIBRARIES = ("retort", "torch", "timm", "torch-pruning")


def prepare_context(
    study: Study, callback: Callback, *, allow_code: bool = False, hold: str = ""
) -> tuple[StudyContextSpec, TeacherRecord]:
    """Prepare everything that trials share, and measure the teacher as its students will be.

    Args:
        study: what is searched for.
        callback: is told about progress.
        allow_code: whether a teacher's factory may run its code.
        hold: this process's hold on the study; the artifacts folder must belong to it or to
            no study.

    Raises:
        ArtifactsHeld: the artifacts folder is another's.
        BadInput: as `check_study`.
        DataError: the data can't be used.
        TeacherError: the teacher can't be loaded or does not fit the data.
    """
    check_study(study)
    _warn_of_other_products(study.budget.target, callback)
    claim = Claim(FolderStore.of(study.run.artifacts) / study.study, hold)
    cache = FolderStore.of(study.run.cache)
    here = _device_here(study.run, callback)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=callback.log)
    teacher = _teacher(study, dataset, device=here, callback=callback, allow_code=allow_code)
    spec = _spec(study, dataset, teacher, claim=claim, allow_code=allow_code)
    spec = _with_teaching(spec, study, teacher, dataset, callback)
    record = _measure_teacher(teacher, dataset, claim, study.budget.target, callback)
    _give_back(teacher, here)
    return spec, record


def _teacher(
    study: Study, dataset: Dataset, *, device: str, callback: Callback, allow_code: bool
) -> Teacher:
    needed = needs_of(study)
    context = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(study.run.cache),
        seed=study.seed,
        device=device,
        metric=study.goal.metric,
        allow_code=allow_code,
        progress=callback.log,
        features_alone=Needs.FEATURES in needed and Needs.LOGITS not in needed,
    )
    return prepare_teacher(study.teachers, context)


def _spec(
    study: Study, dataset: Dataset, teacher: Teacher, *, claim: Claim, allow_code: bool
) -> StudyContextSpec:
    """Return what trials share, without what the teacher teaches them."""
    cache, views = FolderStore.of(study.run.cache), views_of(study, dataset)
    device = training_device(study.run)
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
            views=repr(views),
            teacher=teacher.digest,
            device=device,
            metric=study.goal.metric.name,
        ),
        stages=cache / "stages",
        stages_bytes=study.run.stages,
        allow_code=allow_code,
    )


def _with_teaching(
    spec: StudyContextSpec, study: Study, teacher: Teacher, dataset: Dataset, callback: Callback
) -> StudyContextSpec:
    """Keep the teachers' logits, or the teachers themselves, where an open method needs them."""
    needed, cache = needs_of(study), spec.cache
    if Needs.LOGITS in needed:
        folder = soft_targets(teacher, dataset, spec.views, cache=cache, progress=callback.log)
        spec = replace(spec, targets=_name_in(cache, folder))
    if Needs.FEATURES in needed:
        folder = save_teacher(teacher, study.teachers, dataset.info, cache=cache)
        spec = replace(spec, teachers=_name_in(cache, folder))
    return spec


def _name_in(cache: FolderStore, folder: Path) -> str:
    """Return the folder's path relative to the cache, which other machines may have elsewhere."""
    return folder.relative_to(cache.folder).as_posix()


def _device_here(run: RunSettings, callback: Callback) -> str:
    """Return the device on which this process runs the teacher; report if trials use another."""
    here = preparing_device(run)
    if here != training_device(run):
        callback.log(
            "there is no GPU here: the teacher runs on the processor, trials on the cluster"
        )
    return here


def _give_back(teacher: Teacher, device: str) -> None:
    """Free the GPU's memory for the trials."""
    if device == "cuda":
        teacher.network.cpu()
        torch.cuda.empty_cache()


def requirements_of(study: Study, info: DataInfo) -> StudentRequirements:
    """Return what every student of the study must satisfy."""
    return StudentRequirements(
        classes=len(info.classes),
        channels=info.channels,
        image_size=info.image_size,
        budget=study.budget,
        target=study.budget.target,
        metadata_bytes=metadata_bytes(info, study.budget.target.runtime),
    )


def views_of(study: Study, dataset: Dataset) -> tuple[View, ...]:
    """Return the augmented views of each training image that students see."""
    info = dataset.info
    return tuple(
        View(number=number, seed=study.seed, shift=info.shift, flip=info.flip)
        for number in range(study.search.views)
    )


def _warn_of_other_products(target: TargetSettings, callback: Callback) -> None:
    """Warn if sums of int8 products are exact here, but not on the target.

    int8 files are made, and their predictions measured, where the students are trained.
    """
    if target.agent is None or not multiplies_int8_exactly():
        return
    machine = describe_agent(target.agent, target.runtime)
    if machine.exact_int8 is False:
        callback.log(
            "warning: int8 students are made for this machine, whose sums of int8 products keep "
            f"all their bits; those of the target, {machine.processor}, do not, so that students "
            "may be less accurate there: search on a machine like it, or leave int8 out"
        )


def _measure_teacher(
    teacher: Teacher, dataset: Dataset, claim: Claim, target: TargetSettings, callback: Callback
) -> TeacherRecord:
    """Export the teacher to the artifacts, with its predictions, and measure the file."""
    info = dataset.info
    shape = (info.channels, info.image_size, info.image_size)
    serving = runtime(target.runtime)
    with claim.writing(TEACHER) as folder, scratch() as workspace:
        served = folder / serving.file
        floats = FloatStudent(teacher.network, workspace / "floats", shape, pruning=NoPruning())
        serving.make(floats, served, quantization=Float32(), calibration=())
        serving.annotate(served, described(info))
        found = predictions(load_here(served, target), dataset.validation, dataset)
        write_predictions(folder / PREDICTIONS, {"validation": found})
        cost = count_cost(teacher.network, served, shape)
        try:
            cost = time_cost(cost, served, target)
        except TargetError as error:  # it may be too large for a machine that serves its students
            callback.log(f"the teacher was not timed: {error}")
    return TeacherRecord(
        name=teacher.name,
        digest=teacher.digest,
        quality=quality(found, teacher=found.classes),
        cost=cost,
    )


def _origin(study: Study, dataset: Dataset, teacher: Teacher) -> tuple[tuple[str, Scalar], ...]:
    """Return the origin of a student: study, hashes and versions."""
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
