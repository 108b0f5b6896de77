"""The recorder of a trial's stages and learning curve while the trial runs."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from torch import nn

from search.objectives.counting import count_operations
from search.pipeline.gains import Footprint
from search.pipeline.stage_cache import Stage
from search.pipeline.study_context import StudyContext
from search.records import Cost, EpochRecord, Outcome, StageRecord
from spaces.axes.pruning import Cut

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class WorkClock:
    """A clock that counts seconds of work; it stops while a trial waits for its caller."""

    def __init__(self) -> None:
        self._waited = 0.0

    def now(self) -> float:
        """Return the seconds of work since an arbitrary moment."""
        return time.monotonic() - self._waited

    def timed(self, work: Generator[_Item, None, _Result]) -> Generator[_Item, None, _Result]:
        """Yield the items of `work`; stop the clock until the caller asks for the next item."""
        try:
            while True:
                try:
                    item = next(work)
                except StopIteration as end:
                    result: _Result = end.value
                    return result
                yielded_at = time.monotonic()
                yield item
                self._waited += time.monotonic() - yielded_at
        finally:
            work.close()


@dataclass
class TrialRecorder:
    """Recorder of a trial's stages and epochs, with the start time of the current stage."""

    context: StudyContext
    clock: WorkClock = field(default_factory=WorkClock)
    stages: list[StageRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self._lap = self.clock.now()

    def branch(self) -> "TrialRecorder":
        """Return an independent copy with the same records; its time starts now."""
        return TrialRecorder(self.context, self.clock, list(self.stages), list(self.epochs))

    def continue_from(self, other: "TrialRecorder") -> None:
        """Replace the stages and epochs with those of another recorder."""
        self.stages, self.epochs = list(other.stages), list(other.epochs)

    def end_stage(
        self, name: str, network: nn.Module | None = None, *, score: float | None = None
    ) -> None:
        """Record the duration of a stage, and the score and cost of the network after it.

        Without `score`, the network's score is measured.
        """
        seconds = self.clock.now() - self._lap
        cost: Cost = {}
        if network is not None:
            cost = count_operations(network, self.context.requirements.image_shape)
            if score is None:
                score = self.context.validation.score(network, self.context.dataset)
        self.stages.append(StageRecord(name=name, seconds=seconds, score=score, cost=cost))
        self._lap = self.clock.now()

    def take_over(self, stage: Stage) -> None:
        """Record a stage from the cache: its own records, and the time to read it."""
        seconds = self.clock.now() - self._lap
        for record in stage.stages:
            self.stages.append(replace(record, seconds=seconds, reused=True))
            seconds = 0.0
        self.epochs.extend(stage.epochs)
        self._lap = self.clock.now()

    def since(self, before: "TrialRecorder", network: nn.Module, cuts: Sequence[Cut]) -> Stage:
        """Return the stage that added the records since `before`, with the weights of `network`."""
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
        score: float | None = None,
        no_op: str | None = None,
    ) -> None:
        """Add the cost of the student's file to the last stage of that name.

        Do nothing if no such stage ran.
        """
        for place in reversed(range(len(self.stages))):
            stage = self.stages[place]
            if stage.name == name:
                self.stages[place] = replace(
                    stage,
                    score=stage.score if score is None else score,
                    cost={**stage.cost, **found.cost},
                    no_op=no_op,
                )
                return

    def attach_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome with all records, and the seconds of work since the recorder began."""
        no_ops = [f"{stage.name}: {stage.no_op}" for stage in self.stages if stage.no_op]
        return replace(
            outcome,
            stages=tuple(self.stages),
            epochs=tuple(self.epochs),
            duration_s=self.clock.now() - self._start,
            no_op="\n".join(no_ops) or None,
        )
