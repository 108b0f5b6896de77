"""One trial: one recipe, from student to measured artifact. Plain Python; knows nothing of Ray."""

import shutil
import tempfile
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from search.admission.foresight import foresee_cost
from search.artifacts import SERVED, Provenance, write_student
from search.errors import ArtifactError, TrialError
from search.files import CHECKSUMS, file_digest, written_whole
from search.measure import (
    calibration_batches,
    count_cost,
    count_operations,
    predictions,
    quality,
    time_cost,
)
from search.records import (
    ArtifactRecord,
    Cost,
    EpochRecord,
    FailureRecord,
    Outcome,
    Quality,
    StageRecord,
    TrialState,
)
from search.runtime import Session, export_onnx
from search.task import Task
from search.training import Course, accuracy, train
from spaces.axes import Cut
from spaces.processor import processor_name
from spaces.recipe import Recipe

Progress = Generator[EpochRecord, None, Outcome]


def run_trial(
    recipe: Recipe, task: Task, *, number: int, seed: int, foreseen: Cost | None = None
) -> Progress:
    """All that one recipe comes to: an epoch at a time, and at last its outcome.

    A recipe that contradicts itself, or whose cost breaks the budget, is INFEASIBLE and is never
    trained. Nothing is raised: what goes wrong is FAILED, with its cause.

    Args:
        recipe: what to do.
        task: what to do it to.
        number: the trial's, in its study.
        seed: of weights, order and dropout.
        foreseen: what its student was measured to cost untrained; None has that measured here.

    Returns:
        A generator of learning curves' points that returns the outcome; closed early, it leaves
        nothing behind.
    """
    start = time.monotonic()
    trial = _Trial(recipe, task, number=number, seed=seed, foreseen=foreseen)
    try:
        outcome = yield from trial.run()
    except Exception as error:  # noqa: BLE001  the trial's boundary: recorded, the search goes on
        outcome = Outcome(state=TrialState.FAILED, failure=_failure(error))
    return replace(
        outcome,
        stages=tuple(trial.stages),
        epochs=tuple(trial.epochs),
        duration_s=time.monotonic() - start,
    )


def finish(trial: Progress) -> Outcome:
    """Runs a trial to its end, whatever its curve."""
    while True:
        try:
            next(trial)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


@dataclass
class _Trial:
    """A trial under way, and what it has noted of itself."""

    recipe: Recipe
    task: Task
    number: int = field(kw_only=True)
    seed: int = field(kw_only=True)
    foreseen: Cost | None = field(kw_only=True, default=None)
    stages: list[StageRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    lap: float = field(default_factory=time.monotonic)

    def run(self) -> Progress:
        """The stages, in the order in which compression is done."""
        if refusal := self._refusal():
            return refusal
        self._note("admit")

        torch.manual_seed(self.seed)
        network = self.task.brief.build(self.recipe.student)
        network = yield from self._teach("distil", network, epochs=self.recipe.training.epochs)
        self._note("distil", network)

        network, cuts = self.recipe.pruning.apply(network, self.task.brief.example())
        if cuts:
            self._note("prune", network)

        recovery = round(self.recipe.training.epochs * self.recipe.pruning.recovery_share)
        if cuts and recovery:
            network = yield from self._teach("recover", network, epochs=recovery)
            self._note("recover", network)

        return self._ship(network, cuts)

    def _refusal(self) -> Outcome | None:
        """INFEASIBLE, unless the recipe is sound and its cost within the budget."""
        if reason := self.recipe.conflict():
            return Outcome(state=TrialState.INFEASIBLE, reason=reason)
        try:
            cost = self.foreseen or foresee_cost(self.recipe, self.task.brief)
        except (ValueError, ArtifactError) as error:
            return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
        return None if self.task.brief.budget.admits(cost) else self._over_budget(cost)

    def _over_budget(self, cost: Cost, found: Quality | None = None) -> Outcome:
        return Outcome(
            state=TrialState.INFEASIBLE,
            cost=cost,
            quality=found,
            reason=self.task.brief.budget.explain(cost),
            violations=self.task.brief.budget.violations(cost),
        )

    def _teach(
        self, stage: str, network: nn.Module, *, epochs: int
    ) -> Generator[EpochRecord, None, nn.Module]:
        """The network after so many epochs of the recipe's training and distillation."""
        course = Course(
            stage=stage,
            training=self.recipe.training,
            distillation=self.recipe.distillation,
            epochs=epochs,
            views=self.task.views,
            targets=self.task.targets if self.recipe.distillation.needs_teacher else None,
            seed=self.seed,
            device=self.task.device,
        )
        for point in train(network, self.task.dataset, course):
            self.epochs.append(point)
            yield point
        return network.cpu()

    def _ship(self, network: nn.Module, cuts: list[Cut]) -> Outcome:
        """Measures the file that will be served, and keeps it unless it breaks the budget."""
        with tempfile.TemporaryDirectory() as scratch:
            served = Path(scratch) / SERVED
            self._convert(network, served)
            self._note("quantize")
            cost, found = self._measure(network, served)
            self._note("measure")
            if not self.task.brief.budget.admits(cost):
                return self._over_budget(cost, found)
            artifact = self._keep(network, served, cuts)
        return Outcome(
            state=TrialState.COMPLETE,
            cost=cost,
            quality=found,
            violations=self.task.brief.budget.violations(cost),
            artifact=artifact,
            hardware={"processor": processor_name(), **self.task.brief.target.model_dump()},
        )

    def _convert(self, network: nn.Module, served: Path) -> None:
        """Exports the float network, and quantizes it into the file `served`."""
        exported = served.with_name("float.onnx")
        export_onnx(network, exported, image_shape=self.task.brief.image_shape)
        calibration = calibration_batches(self.task.dataset, seed=self.seed)
        self.recipe.quantization.convert(exported, served, calibration=calibration)

    def _measure(self, network: nn.Module, served: Path) -> tuple[Cost, Quality]:
        task, target = self.task, self.task.brief.target
        counted = count_cost(network, served, task.brief.image_shape)
        cost = time_cost(counted, served, target)
        session = Session(served, threads=target.threads, device=target.device)
        found = quality(
            predictions(session, task.dataset.validation, task.dataset),
            labels=task.dataset.validation.labels,
            teacher=task.teacher_classes,
        )
        return cost, found

    def _keep(self, network: nn.Module, served: Path, cuts: list[Cut]) -> ArtifactRecord:
        destination = self.task.artifacts / f"trial-{self.number:05d}"
        provenance = Provenance(
            params=self.recipe.to_params(),
            cuts=tuple(cuts),
            data=self.task.dataset.info,
            origin={**self.task.origin, "trial": self.number, "seed": self.seed},
        )
        with written_whole(destination) as folder:
            shutil.copyfile(served, folder / SERVED)
            write_student(folder, network, provenance)
        return ArtifactRecord(path=destination.name, sha256=file_digest(destination / CHECKSUMS))

    def _note(self, stage: str, network: nn.Module | None = None) -> None:
        """Ends a stage: how long it took, and what the network is like after it."""
        seconds = time.monotonic() - self.lap
        parameters = macs = found = None
        if network is not None:
            parameters, macs = count_operations(network, self.task.brief.image_shape)
            found = accuracy(network, self.task.dataset.validation, self.task.dataset)
        self.stages.append(
            StageRecord(
                name=stage, seconds=seconds, accuracy=found, parameters=parameters, macs=macs
            )
        )
        self.lap = time.monotonic()


def _failure(error: Exception) -> FailureRecord:
    kind = error.kind if isinstance(error, TrialError) else type(error).__name__
    return FailureRecord(
        kind=kind, message=str(error), traceback="".join(traceback.format_exception(error))
    )
