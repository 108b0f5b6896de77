"""Packages a trained network: convert it to the served file, measure it, store it if it fits."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from search.config.student_spec import StudentRequirements
from search.evaluation.artifact import Provenance, write_student
from search.evaluation.measure import calibration_batches, predictions, quality
from search.evaluation.onnx_metadata import described
from search.evaluation.predictions_file import PREDICTIONS, write_predictions
from search.files.atomic import CHECKSUMS, file_digest
from search.files.disk import scratch
from search.objectives.counting import grown
from search.objectives.predictions import Predictions
from search.pipeline.gains import Footprint, hardware_of, why_no_op
from search.pipeline.study_context import StudyContext
from search.pipeline.trial_recorder import TrialRecorder
from search.records import (
    TRAINING,
    ArtifactRecord,
    Cost,
    Outcome,
    Quality,
    Scalar,
    TrialState,
)
from search.targets.float_student import FloatStudent
from search.targets.this_machine import load_here
from search.targets.timing import processor_of, runtime_on, time_files, timed_cost
from spaces.axes.pruning import Cut
from spaces.recipe import Recipe
from spaces.shrinks import NOTHING


def ship(
    student: FloatStudent, cuts: Sequence[Cut], recipe: Recipe, context: StudyContext,
    recorder: TrialRecorder, *, unpruned: FloatStudent, name: str, seed: int,
) -> Outcome:  # fmt: skip
    """Convert, measure and store the student; return the trial's outcome.

    Metrics and costs are measured on the served file itself.

    Args:
        student: the network, trained and pruned.
        cuts: the channels that pruning removed.
        recipe: the student's recipe; its quantization is applied here.
        context: the context of the study's trials.
        recorder: the trial's recorder; this adds two stages, and the cost after each stage.
        unpruned: the network before pruning.
        name: the name of the artifact's folder.
        seed: the seed that selects the calibration images.

    Returns:
        COMPLETE with the stored artifact; INFEASIBLE where the file's costs break the budget. A
        student that breaks a floor is COMPLETE, and its reason names the floor. The outcome of a
        refit has no quality.
    """
    budget, runtime = context.requirements.budget, context.requirements.runtime
    with scratch() as workspace:
        file = _convert(student, workspace, recipe, context, seed=seed)
        recorder.end_stage("quantize")
        predicted, found = _measured_quality(file, context)
        bare = file.stat().st_size
        runtime.annotate(file, described(context.dataset.info, found))
        metadata = file.stat().st_size - bare
        cost = _measure(
            student,
            file,
            recipe,
            context,
            recorder,
            unpruned=unpruned,
            metadata=metadata,
            score=None if context.is_refit else found[context.metric.name].value,
        )
        recorder.end_stage("measure")
        if not budget.admits(cost):
            return over_budget(cost, context.requirements, found)
        provenance = Provenance(
            params=recipe.to_params(),
            cuts=tuple(cuts),
            data=context.dataset.info,
            origin={**context.origin, "artifact": name, "seed": seed},
            runtime=runtime.name,
        )
        artifact = _store_artifact(student, file, provenance, predicted, context, name=name)
    return Outcome(
        state=TrialState.COMPLETE,
        cost=cost,
        quality=found,
        reason=budget.explain(cost, found) or None,
        violations=budget.violations(cost, found),
        artifact=artifact,
        hardware=_hardware(context.requirements),
    )


def _store_artifact(
    student: FloatStudent,
    file: Path,
    provenance: Provenance,
    predicted: Mapping[str, Predictions],
    context: StudyContext,
    *,
    name: str,
) -> ArtifactRecord:
    """Write the artifact's folder atomically."""
    with context.claim.writing(name) as folder:
        shutil.copyfile(file, folder / file.name)
        write_student(folder, student.network, provenance)
        write_predictions(folder / PREDICTIONS, predicted)
    listed = context.artifacts.folder / name / CHECKSUMS
    return ArtifactRecord(path=name, sha256=file_digest(listed))


def over_budget(
    cost: Cost, requirements: StudentRequirements, found: Quality | None = None
) -> Outcome:
    """Return an outcome INFEASIBLE that names the broken limits, and floors of a measured student.

    Args:
        cost: the student's cost, which breaks a limit.
        requirements: the requirements on the study's students.
        found: the quality of a trained student; None for an untrained one.
    """
    return Outcome(
        state=TrialState.INFEASIBLE,
        cost=cost,
        quality=found or {},
        reason=requirements.budget.explain(cost, found or {}),
        violations=requirements.budget.violations(cost, found or {}),
    )


def _convert(
    student: FloatStudent, folder: Path, recipe: Recipe, context: StudyContext, *, seed: int
) -> Path:
    """Write the student's file in the recipe's number format; return its path."""
    runtime = context.requirements.runtime
    runtime.make(
        student,
        folder / runtime.file,
        quantization=recipe.quantization,
        calibration=calibration_batches(context.dataset, seed=seed),
    )
    return folder / runtime.file


def _measured_quality(
    file: Path, context: StudyContext
) -> tuple[Mapping[str, Predictions], Quality]:
    """Return the predictions for the validation images, by part, and the quality; empty: a refit's.

    A refit's file is loaded too, so that a file that can't be served fails.
    """
    served = load_here(file, context.requirements.target)
    if context.is_refit:
        return {}, {}
    found = predictions(served, context.dataset.validation, context.dataset)
    return {"validation": found}, quality(
        found, teacher=context.teacher_classes, classes=context.floor_labels
    )


def _measure(
    student: FloatStudent, file: Path, recipe: Recipe, context: StudyContext,
    recorder: TrialRecorder, *, unpruned: FloatStudent, metadata: int, score: float | None,
) -> Cost:  # fmt: skip
    """Measure the served file; record the cost after each stage in `recorder`.

    Args:
        student: the network, trained and pruned.
        file: the served file.
        recipe: the student's recipe.
        context: the context of the study's trials.
        recorder: the trial's recorder.
        unpruned: the network before pruning.
        metadata: bytes of metadata, which only the served file already contains.
        score: the score of the served file; None for a refit.

    Returns:
        The cost of the served file.
    """
    target, runtime = context.requirements.target, context.requirements.runtime
    paths, costs = [file], [student.cost_in(file)]
    # Without quantization the float32 file is the served file, and is timed only once.
    if recipe.quantization.shrinks != NOTHING:
        paths.insert(0, student.in_floats(runtime))
        costs.insert(0, grown(student.cost_in(paths[0]), metadata))
    if recipe.pruning.shrinks != NOTHING:
        paths.insert(0, unpruned.in_floats(runtime))
        costs.insert(0, grown(unpruned.cost_in(paths[0]), metadata))
    found = [
        Footprint({**cost, **timed_cost(latency)}, latency)
        for cost, latency in zip(costs, time_files(paths, target), strict=True)
    ]
    served = found[-1]
    exported = found[-2] if recipe.quantization.shrinks != NOTHING else served
    hardware = hardware_of(target)
    recorder.describe(TRAINING, found[0])
    recorder.describe(
        "prune", exported, no_op=why_no_op(recipe.pruning, found[0], exported, hardware)
    )
    recorder.describe("recover", exported)
    recorder.describe("tune", exported)
    recorder.describe(
        "quantize",
        served,
        score=score,
        no_op=why_no_op(recipe.quantization, exported, served, hardware),
    )
    return served.cost


def _hardware(requirements: StudentRequirements) -> Mapping[str, Scalar]:
    return {
        "processor": processor_of(requirements.target),
        **requirements.target.model_dump(exclude_none=True),
        "runtime": runtime_on(requirements.target),
    }
