"""The measurement of a study's teacher: exported and served like a student."""

from search.config.study import BudgetSettings
from search.data.dataset import Dataset
from search.errors import TargetError
from search.evaluation.measure import predictions, quality
from search.evaluation.onnx_metadata import described
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, write_predictions
from search.files.disk import scratch
from search.objectives.counting import count_cost
from search.pipeline.floor_classes import floor_labels
from search.progress import Callback
from search.records import TeacherRecord
from search.storage.artifact_owner import Claim
from search.targets.float_student import FloatStudent
from search.targets.registry import runtime
from search.targets.this_machine import load_here
from search.targets.timing import time_cost
from search.teachers.prepared import Teacher
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32


def measure_teacher(
    teacher: Teacher,
    dataset: Dataset,
    claim: Claim,
    budget: BudgetSettings,
    callback: Callback,
) -> TeacherRecord:
    """Export the teacher to the artifacts folder, with its predictions, and measure the file.

    The file takes images of the teacher's own size.
    """
    info, target = dataset.info, budget.target
    size = teacher.image_size or info.image_size
    shape = (info.channels, size, size)
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
        quality=quality(found, teacher=found.classes, classes=floor_labels(budget, dataset.info)),
        cost=cost,
    )
