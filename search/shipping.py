"""From a trained network to the file that is served: converted, measured, and kept if it fits."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from search.artifacts import SERVED, Provenance, write_student
from search.brief import Brief
from search.files import CHECKSUMS, file_digest, written_whole
from search.measure import calibration_batches, count_cost, predictions, quality, time_cost
from search.metadata import append_metadata, described
from search.notes import Notes
from search.predictions import PREDICTIONS, Predictions, write_predictions
from search.records import ArtifactRecord, Cost, Outcome, Quality, Scalar, TrialState
from search.runtime import Session, export_onnx
from search.task import Task
from spaces.axes import Cut
from spaces.processor import processor_name
from spaces.recipe import Recipe


def ship(
    network: nn.Module, cuts: Sequence[Cut], recipe: Recipe, task: Task, notes: Notes,
    *, name: str, seed: int,
) -> Outcome:  # fmt: skip
    """COMPLETE, its artifact kept under `name`; INFEASIBLE where the file breaks the budget.

    What is measured is what is shipped: accuracy, bytes and latency are those of the file itself.

    Args:
        network: trained and pruned, on the CPU.
        cuts: what pruning took out.
        recipe: what led here; its quantization is applied now.
        task: what the trial shares with others.
        notes: of the trial, which gain two stages.
        name: of the folder among the task's artifacts.
        seed: of the images that ranges are calibrated on.
    """
    with tempfile.TemporaryDirectory() as scratch:
        served = Path(scratch) / SERVED
        _convert(network, served, recipe, task, seed=seed)
        notes.end_stage("quantize")
        predicted = _predict(served, task)
        found = quality(predicted, teacher=task.teacher_classes)
        append_metadata(served, described(task.dataset.info, found))
        cost = _measure(network, served, task)
        notes.end_stage("measure")
        if not task.brief.budget.admits(cost):
            return over_budget(cost, task.brief, found)
        provenance = Provenance(
            params=recipe.to_params(),
            cuts=tuple(cuts),
            data=task.dataset.info,
            origin={**task.origin, "artifact": name, "seed": seed},
        )
        with written_whole(task.artifacts / name) as folder:
            shutil.copyfile(served, folder / SERVED)
            write_student(folder, network, provenance)
            write_predictions(folder / PREDICTIONS, {"validation": predicted})
        artifact = ArtifactRecord(path=name, sha256=file_digest(task.artifacts / name / CHECKSUMS))
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


def _convert(network: nn.Module, served: Path, recipe: Recipe, task: Task, *, seed: int) -> None:
    """Exports the float network, and quantizes it into the file `served`."""
    exported = served.with_name("float.onnx")
    export_onnx(network, exported, image_shape=task.brief.image_shape)
    calibration = calibration_batches(task.dataset, seed=seed)
    recipe.quantization.convert(exported, served, calibration=calibration)


def _predict(served: Path, task: Task) -> Predictions:
    target = task.brief.target
    session = Session(served, threads=target.threads, device=target.device)
    return predictions(session, task.dataset.validation, task.dataset)


def _measure(network: nn.Module, served: Path, task: Task) -> Cost:
    return time_cost(count_cost(network, served, task.brief.image_shape), served, task.brief.target)


def _hardware(brief: Brief) -> Mapping[str, Scalar]:
    return {"processor": processor_name(), **brief.target.model_dump()}
