"""The state that changes during a training, and its checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from search.records import EpochRecord
from search.training.distiller import Distiller
from search.training.ema import MovingAverage
from search.training.training_plan import TrainingPlan
from spaces.axes.training import OptimizationSteps


@dataclass(frozen=True)
class TrainingRun:
    """The state that changes during a training."""

    distiller: Distiller
    fit: OptimizationSteps
    average: MovingAverage | None

    def swap_average(self) -> None:
        """Exchange the network's weights with their moving average, if there is one."""
        if self.average is not None:
            self.average.swap()

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint between two epochs."""
        state = {
            "pupil": self.distiller.state_dict(),
            "optimizer": self.fit.optimizer.state_dict(),
            "scheduler": self.fit.scheduler.state_dict(),
        }
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Return whether the state is from a distiller with the same tensor shapes."""
        own = {name: value.shape for name, value in self.distiller.state_dict().items()}
        return own == {name: value.shape for name, value in state["pupil"].items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.distiller.load_state_dict(state["pupil"])
        self.fit.optimizer.load_state_dict(state["optimizer"])
        self.fit.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def restored(run: TrainingRun, plan: TrainingPlan) -> list[EpochRecord]:
    """Restore the checkpoint's state; return its epochs, or none without a usable checkpoint."""
    if plan.checkpoint is None or (state := plan.checkpoint.load()) is None:
        return []
    if not run.fits(state):
        return []  # the network of the checkpoint has other shapes
    run.load_state_dict(state)
    torch.set_rng_state(state["chance"])
    if plan.device == "cuda":
        torch.cuda.set_rng_state(state["cuda_chance"])
    return [EpochRecord(**point) for point in state["curve"]]


def save_checkpoint(run: TrainingRun, plan: TrainingPlan, curve: Sequence[EpochRecord]) -> None:
    if plan.checkpoint is None or not plan.checkpoint.is_due or len(curve) == plan.epochs:
        return
    state = run.state_dict() | {
        "chance": torch.get_rng_state(),
        "curve": [asdict(point) for point in curve],
    }
    if plan.device == "cuda":
        state["cuda_chance"] = torch.cuda.get_rng_state()
    plan.checkpoint.save(state)
