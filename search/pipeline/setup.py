"""Before the first trial: data, teacher and soft targets, made ready and handed over by path."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from search.config.resources import preparing_device, training_device
from search.config.student_spec import StudentRequirements
from search.config.study import RunSettings, Study, TargetSettings
from search.data.dataset import DataInfo, Dataset
from search.data.prepare import open_dataset, prepare
from search.data.views import View
from search.errors import TargetError
from search.evaluation.measure import predictions, quality
from search.evaluation.onnx_metadata import described, metadata_bytes
from search.evaluation.predictions_file import (
    PREDICTIONS,
    TEACHER,
    read_predictions,
    write_predictions,
)
from search.files.disk import scratch
from search.files.filestore import FolderStore
from search.objectives.counting import count_cost
from search.objectives.metrics import metric_of
from search.pipeline.checks import check_study, needs_of
from search.pipeline.stage_cache import Lineage, StageCache
from search.pipeline.study_context import StudyContext
from search.progress import Callback
from search.records import Scalar, TeacherRecord
from search.storage.artifact_owner import Claim
from search.targets.agent_client import describe_agent
from search.targets.float_student import FloatStudent
from search.targets.registry import runtime
from search.targets.this_machine import load_here
from search.targets.timing import time_cost
from search.teachers.logits_cache import open_soft_targets, soft_targets
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import Teacher, prepare_teacher
from search.training.trainer import Targets
from spaces.axes.distillation import Needs
from spaces.processor import multiplies_int8_exactly
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32

_LIBRARIES = ("retort", "torch", "timm", "torch-pruning")


@dataclass(frozen=True, kw_only=True)
class StudyContextSpec:
    """A task by the paths of its parts: small enough to be sent to any worker.

    Attributes:
        objective: the name of the metric that the study maximises.
        cache: where the folders are that the next three name.
        dataset: the prepared images.
        targets: the teachers' logits; None where no open method asks for them.
        teachers: the teachers themselves; None where no open method asks for them.
        claim: to where the study keeps its artifacts, and the teacher's predictions.
        stages: where stages that were computed are kept; of a URL, on each machine by itself.
        stages_bytes: the most that it keeps.
        allow_code: whether a teacher's factory may run.
    """

    study: str
    requirements: StudentRequirements
    objective: str
    cache: FolderStore
    dataset: str
    targets: str | None
    teachers: str | None
    views: tuple[View, ...]
    device: str
    claim: Claim
    origin: tuple[tuple[str, Scalar], ...]
    lineage: Lineage
    stages: FolderStore
    stages_bytes: int
    allow_code: bool

    @property
    def artifacts(self) -> FolderStore:
        """Where the study keeps its artifacts; they are written by the claim."""
        return self.claim.artifacts

    @property
    def data_digest(self) -> str:
        """Of the prepared data, as `DataInfo` gives it."""
        return str(dict(self.origin)["data_sha256"])

    def stage_cache(self) -> StageCache:
        """The stages that were computed before."""
        return StageCache(self.stages.folder, limit_bytes=self.stages_bytes)

    def open_dataset(self) -> Dataset:
        """The prepared images."""
        return open_dataset(self.cache.fetched(self.dataset))

    def open_targets(self) -> Targets | None:
        """The teachers' logits, mapped into memory."""
        return open_soft_targets(self.cache.fetched(self.targets)).of if self.targets else None


@cache
def open_context(spec: StudyContextSpec) -> StudyContext:
    """The task, its files mapped into memory; opened once in each process."""
    taught = read_predictions(spec.artifacts.fetched(TEACHER) / PREDICTIONS)["validation"]
    return StudyContext(
        requirements=spec.requirements,
        metric=metric_of(spec.objective),
        dataset=spec.open_dataset(),
        views=spec.views,
        targets=spec.open_targets(),
        teachers=partial(_teachers, spec),
        teacher_classes=taught.classes,
        device=spec.device,
        claim=spec.claim,
        origin=dict(spec.origin),
        lineage=spec.lineage,
        stages=spec.stage_cache(),
    )


def _teachers(spec: StudyContextSpec) -> tuple[nn.Module, ...]:
    if spec.teachers is None:
        return ()
    return open_teachers(spec.cache.fetched(spec.teachers), allow_code=spec.allow_code)


def prepare_context(
    study: Study, callback: Callback, *, allow_code: bool = False, hold: str = ""
) -> tuple[StudyContextSpec, TeacherRecord]:
    """Makes everything ready that trials share, and measures the teacher as its students will be.

    Args:
        study: what is searched for.
        callback: told of what is done.
        allow_code: whether a teacher's factory may run its code.
        hold: by which this process has the study; the artifacts folder must be its own, or
            nobody's.

    Raises:
        ArtifactsHeld: the artifacts folder is another's.
        BadInput: as `check_study`.
        DataError: the data can't be used.
        TeacherError: the teacher can't be loaded or does not fit the data.
    """
    check_study(study)
    _warn_of_other_products(study.budget.target, callback)
    cache = FolderStore.of(study.run.cache)
    claim = Claim(FolderStore.of(study.run.artifacts) / study.study, hold)
    device = training_device(study.run)
    here = _device_here(study.run, callback)
    dataset = prepare(study.data, seed=study.seed, cache=cache, progress=callback.log)
    needed = needs_of(study)
    teacher = prepare_teacher(
        study.teachers,
        TeacherContext(
            dataset=dataset,
            cache=cache,
            seed=study.seed,
            device=here,
            metric=study.goal.metric,
            allow_code=allow_code,
            progress=callback.log,
            features_alone=Needs.FEATURES in needed and Needs.LOGITS not in needed,
        ),
    )
    views = views_of(study, dataset)
    targets, teachers = None, None
    if Needs.LOGITS in needed:
        targets = soft_targets(teacher, dataset, views, cache=cache, progress=callback.log)
    if Needs.FEATURES in needed:
        teachers = save_teacher(teacher, study.teachers, dataset.info, cache=cache)
    record = _measure_teacher(teacher, dataset, claim, study.budget.target, callback)
    _give_back(teacher, here)

    def named(folder: Path) -> str:
        return folder.relative_to(cache.folder).as_posix()

    spec = StudyContextSpec(
        study=study.study,
        requirements=brief_of(study, dataset.info),
        objective=study.goal.metric.name,
        cache=cache,
        dataset=named(dataset.folder),
        targets=named(targets) if targets else None,
        teachers=named(teachers) if teachers else None,
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
    return spec, record


def _device_here(run: RunSettings, callback: Callback) -> str:
    """Where this process asks the teacher; says so where trials have another."""
    here = preparing_device(run)
    if here != training_device(run):
        callback.log(
            "there is no GPU here: the teacher runs on the processor, trials on the cluster"
        )
    return here


def _give_back(teacher: Teacher, device: str) -> None:
    """Leaves a GPU's memory to the trials, which need it from now on."""
    if device == "cuda":
        teacher.network.cpu()
        torch.cuda.empty_cache()


def brief_of(study: Study, info: DataInfo) -> StudentRequirements:
    """What every student of the study must be."""
    return StudentRequirements(
        classes=len(info.classes),
        channels=info.channels,
        image_size=info.image_size,
        budget=study.budget,
        target=study.budget.target,
        metadata_bytes=metadata_bytes(info, study.budget.target.runtime),
    )


def views_of(study: Study, dataset: Dataset) -> tuple[View, ...]:
    """The augmented views of each training image that students see."""
    info = dataset.info
    return tuple(
        View(number=number, seed=study.seed, shift=info.shift, flip=info.flip)
        for number in range(study.search.views)
    )


def _warn_of_other_products(target: TargetSettings, callback: Callback) -> None:
    """int8 files are made, and what they predict measured, where the students are trained."""
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
    """Exports the teacher among the artifacts, with its predictions, and measures the file."""
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
    """Where a student comes from: study, hashes and versions."""
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
