"""What a trial notes of itself as it goes: its stages and its learning curve."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from search.making.gains import Footprint
from search.making.stages import Stage
from search.making.task import Task
from search.measuring.measure import count_operations
from search.records import EpochRecord, Outcome, StageRecord
from search.training.fitting import accuracy as measured
from spaces.axes.pruning import Cut


@dataclass
class Notes:
    """Stages and epochs so far, and when the present stage began."""

    task: Task
    stages: list[StageRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)
    lap: float = field(default_factory=time.monotonic)

    def branch(self) -> "Notes":
        """A copy that goes on by itself: it shares what came before, and its time starts now."""
        return Notes(self.task, list(self.stages), list(self.epochs))

    def go_on_from(self, other: "Notes") -> None:
        """Takes up all that another has noted so far."""
        self.stages, self.epochs = list(other.stages), list(other.epochs)

    def end_stage(
        self, name: str, network: nn.Module | None = None, *, accuracy: float | None = None
    ) -> None:
        """Notes how long the stage took, and what the network is like after it.

        Its accuracy is measured, unless it is known.
        """
        seconds = time.monotonic() - self.lap
        parameters = macs = None
        if network is not None:
            parameters, macs = count_operations(network, self.task.brief.image_shape)
            if accuracy is None:
                accuracy = measured(network, self.task.dataset.validation, self.task.dataset)
        self.stages.append(
            StageRecord(
                name=name, seconds=seconds, accuracy=accuracy, parameters=parameters, macs=macs
            )
        )
        self.lap = time.monotonic()

    def take_over(self, stage: Stage) -> None:
        """Notes a stage that was computed before: its records, and the time that fetching took."""
        seconds = time.monotonic() - self.lap
        for record in stage.stages:
            self.stages.append(replace(record, seconds=seconds, reused=True))
            seconds = 0.0
        self.epochs.extend(stage.epochs)
        self.lap = time.monotonic()

    def since(self, before: "Notes", network: nn.Module, cuts: Sequence[Cut]) -> Stage:
        """The stage that has come of `network` since there were no notes but these."""
        return Stage(
            cuts=tuple(cuts),
            stages=tuple(self.stages[len(before.stages) :]),
            epochs=tuple(self.epochs[len(before.epochs) :]),
            weights=network.state_dict(),
        )

    def describe(
        self,
        name: str,
        found: Footprint,
        *,
        accuracy: float | None = None,
        no_op: str | None = None,
    ) -> None:
        """Adds to the last stage of that name what the student's file took after it.

        A stage that was not run is not described.
        """
        for place in reversed(range(len(self.stages))):
            stage = self.stages[place]
            if stage.name == name:
                self.stages[place] = replace(
                    stage,
                    accuracy=stage.accuracy if accuracy is None else accuracy,
                    size_bytes=found.size_bytes,
                    latency_ms=found.latency.median_ms,
                    no_op=no_op,
                )
                return

    def attached_to(self, outcome: Outcome) -> Outcome:
        """The outcome with these notes, and the time since they were begun."""
        no_ops = [f"{stage.name}: {stage.no_op}" for stage in self.stages if stage.no_op]
        return replace(
            outcome,
            stages=tuple(self.stages),
            epochs=tuple(self.epochs),
            duration_s=time.monotonic() - self.start,
            no_op="\n".join(no_ops) or None,
        )
