"""From a trained network to the file that is served: converted, measured, and kept if it fits."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from search.artifacts.student import SERVED, Provenance, write_student
from search.config.student_spec import Brief
from search.evaluation.convert import Exported, Files, write_files
from search.evaluation.measure import calibration_batches, count_cost, predictions, quality
from search.evaluation.onnx_metadata import append_metadata, described
from search.evaluation.predictions import PREDICTIONS, Predictions, write_predictions
from search.files.atomic import CHECKSUMS, file_digest
from search.files.disk import scratch
from search.pipeline.gains import Footprint, runtimes_of, why_no_op
from search.pipeline.study_context import Task
from search.pipeline.trial_recorder import Notes
from search.records import (
    TRAINING,
    ArtifactRecord,
    Cost,
    Outcome,
    Quality,
    Scalar,
    TrialState,
)
from search.targets.onnx_runtime import Session
from search.targets.timing import processor_of, time_files
from spaces.axes.pruning import Cut
from spaces.recipe import Recipe
from spaces.shrinks import NOTHING


def ship(
    student: Exported, cuts: Sequence[Cut], recipe: Recipe, task: Task, notes: Notes,
    *, unpruned: Exported, name: str, seed: int,
) -> Outcome:  # fmt: skip
    """COMPLETE, its artifact kept under `name`; INFEASIBLE where the file breaks the budget.

    What is measured is what is shipped: accuracy, bytes and latency are those of the file itself.

    Args:
        student: trained and pruned.
        cuts: what pruning took out.
        recipe: what led here; its quantization is applied now.
        task: what the trial shares with others.
        notes: of the trial, which gain two stages, and what each stage came to.
        unpruned: what pruning began with.
        name: of the folder among the task's artifacts.
        seed: of the images that ranges are calibrated on.
    """
    with scratch() as workspace:
        files = _convert(student, workspace, recipe, task, seed=seed)
        notes.end_stage("quantize")
        predicted = _predict(files.served, task)
        found = quality(predicted, teacher=task.teacher_classes)
        bare = files.served.stat().st_size
        append_metadata(files.served, described(task.dataset.info, found))
        metadata = files.served.stat().st_size - bare
        cost = _measure(
            student.network,
            files,
            recipe,
            task,
            notes,
            unpruned=unpruned,
            metadata=metadata,
            accuracy=found.accuracy,
        )
        notes.end_stage("measure")
        if not task.brief.budget.admits(cost):
            return over_budget(cost, task.brief, found)
        provenance = Provenance(
            params=recipe.to_params(),
            cuts=tuple(cuts),
            data=task.dataset.info,
            origin={**task.origin, "artifact": name, "seed": seed},
        )
        with task.claim.writing(name) as folder:
            shutil.copyfile(files.served, folder / SERVED)
            write_student(folder, student.network, provenance)
            write_predictions(folder / PREDICTIONS, {"validation": predicted})
        listed = task.artifacts.folder / name / CHECKSUMS
        artifact = ArtifactRecord(path=name, sha256=file_digest(listed))
    return Outcome(
        state=TrialState.COMPLETE,
        cost=cost,
        quality=found,
        violations=task.brief.budget.violations(cost),
        artifact=artifact,
        hardware=_hardware(task.brief),
    )


def over_budget(cost: Cost, brief: Brief, found: Quality | None = None) -> Outcome:
    """INFEASIBLE, with the limits that are broken."""
    return Outcome(
        state=TrialState.INFEASIBLE,
        cost=cost,
        quality=found,
        reason=brief.budget.explain(cost),
        violations=brief.budget.violations(cost),
    )


def _convert(student: Exported, folder: Path, recipe: Recipe, task: Task, *, seed: int) -> Files:
    """The student in the number format in which it is served."""
    return write_files(
        student,
        folder,
        pruning=recipe.pruning,
        quantization=recipe.quantization,
        calibration=calibration_batches(task.dataset, seed=seed),
    )


def _predict(served: Path, task: Task) -> Predictions:
    target = task.brief.target
    session = Session(served, threads=target.threads, device=target.device_here)
    return predictions(session, task.dataset.validation, task.dataset)


def _measure(
    network: nn.Module, files: Files, recipe: Recipe, task: Task, notes: Notes,
    *, unpruned: Exported, metadata: int, accuracy: float,
) -> Cost:  # fmt: skip
    """The served file's cost; what each stage came to goes to the notes.

    Of the files, the served one alone has its `metadata` bytes yet; `accuracy` is its own.
    """
    target = task.brief.target
    cost = count_cost(network, files.served, task.brief.image_shape)
    paths, macs = [files.served], [cost.macs]
    # In floats both are one file, and one is enough to be timed.
    if recipe.quantization.shrinks != NOTHING:
        paths, macs = [files.exported, *paths], [cost.macs, *macs]
    if recipe.pruning.shrinks != NOTHING:
        paths, macs = [unpruned.path, *paths], [unpruned.macs, *macs]
    sizes = [path.stat().st_size + metadata * (path != files.served) for path in paths]
    found = [Footprint(*each) for each in zip(sizes, macs, time_files(paths, target), strict=True)]
    served = found[-1]
    exported = found[-2] if recipe.quantization.shrinks != NOTHING else served
    runtimes = runtimes_of(target)
    notes.describe(TRAINING, found[0])
    notes.describe("prune", exported, no_op=why_no_op(recipe.pruning, found[0], exported, runtimes))
    notes.describe("recover", exported)
    notes.describe("tune", exported)
    notes.describe(
        "quantize",
        served,
        accuracy=accuracy,
        no_op=why_no_op(recipe.quantization, exported, served, runtimes),
    )
    return replace(cost, latency_ms=served.latency.median_ms, latency_p95_ms=served.latency.p95_ms)


def _hardware(brief: Brief) -> Mapping[str, Scalar]:
    return {"processor": processor_of(brief.target), **brief.target.model_dump(exclude_none=True)}
