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

_News = TypeVar("_News")
_Result = TypeVar("_Result")


class WorkClock:
    """A clock of working seconds; it stops while a trial waits to continue."""

    def __init__(self) -> None:
        self._waited = 0.0

    def now(self) -> float:
        """Return the seconds of work since an arbitrary moment."""
        return time.monotonic() - self._waited

    def over(self, work: Generator[_News, None, _Result]) -> Generator[_News, None, _Result]:
        """Yield what `work` yields; the clock stops from each item until the next is asked for."""
        try:
            while True:
                try:
                    news = next(work)
                except StopIteration as end:
                    result: _Result = end.value
                    return result
                told = time.monotonic()
                yield news
                self._waited += time.monotonic() - told
        finally:
            work.close()


@dataclass
class TrialRecorder:
    """The stages and epochs so far, and when the present stage began."""

    context: StudyContext
    clock: WorkClock = field(default_factory=WorkClock)
    stages: list[StageRecord] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self._lap = self.clock.now()

    def branch(self) -> "TrialRecorder":
        """Return a copy that continues by itself; it has the same past, and its time starts now."""
        return TrialRecorder(self.context, self.clock, list(self.stages), list(self.epochs))

    def go_on_from(self, other: "TrialRecorder") -> None:
        """Take over everything that another recorder has recorded so far."""
        self.stages, self.epochs = list(other.stages), list(other.epochs)

    def end_stage(
        self, name: str, network: nn.Module | None = None, *, score: float | None = None
    ) -> None:
        """Record how long the stage took, and the network after it.

        Its score is measured, unless it is known.
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
        """Record a stage that was computed before: its records, and the time to read it."""
        seconds = self.clock.now() - self._lap
        for record in stage.stages:
            self.stages.append(replace(record, seconds=seconds, reused=True))
            seconds = 0.0
        self.epochs.extend(stage.epochs)
        self._lap = self.clock.now()

    def since(self, before: "TrialRecorder", network: nn.Module, cuts: Sequence[Cut]) -> Stage:
        """Return the stage that `network` went through since the recorder held only these notes."""
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

        A stage that was not run is left out.
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

    def attached_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome with these notes, and the seconds of work since they began."""
        no_ops = [f"{stage.name}: {stage.no_op}" for stage in self.stages if stage.no_op]
        return replace(
            outcome,
            stages=tuple(self.stages),
            epochs=tuple(self.epochs),
            duration_s=self.clock.now() - self._start,
            no_op="\n".join(no_ops) or None,
        )
