"""The fourth axis: the pruning of a trained student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from spaces.method import Method

if TYPE_CHECKING:
    from torch import Tensor, nn


class CutSide(StrEnum):
    """The part of a module to prune."""

    OUTPUTS = "outputs"  # output channels
    INPUTS = "inputs"  # input channels
    HEADS = "heads"  # whole heads of an attention
    ALL = "all"  # the whole module: an identity replaces it


# One pruned part: the module's dotted name, the side, and the pruned indices (empty for ALL).
Cut: TypeAlias = tuple[str, CutSide, Sequence[int]]

# Computes a network's training loss on a few batches: scalars in nats, each with a gradient.
Losses: TypeAlias = Callable[["nn.Module"], Iterable["Tensor"]]
PruningSteps: TypeAlias = Generator["TrainingPhase", None, tuple["nn.Module", list[Cut]]]


@dataclass(frozen=True, eq=False)
class TrainingPhase:
    """A phase of training within a pruning, with the recipe's training method and distillation.

    Attributes:
        network: the network to train, in place.
        stage: the name of the phase in the record of the training curves.
        share: number of epochs, as a share of the training's epochs; 0 if the phase evaluates the
            network without training it.
        has_cut: whether the method pruned the network since the previous phase. The phase then has
            lower learning rates than a whole schedule.
        penalty: returns a term to add to the loss of each step, a scalar in nats. None adds
            nothing.
        constraint: restores the weights that must not change; called after each step. None does
            nothing.
    """

    network: nn.Module
    stage: str
    share: float
    has_cut: bool = False
    penalty: Callable[[], Tensor] | None = None
    constraint: Callable[[], None] | None = None

    @classmethod
    def recovery(
        cls,
        network: nn.Module,
        share: float,
        *,
        constraint: Callable[[], None] | None = None,
    ) -> Self:
        """Return the phase of training after a pruning step."""
        return cls(network, "recover", share, has_cut=True, constraint=constraint)


@dataclass(frozen=True)
class Pruning(Method, ABC):
    """Pruning of a trained student."""

    axis: ClassVar[str] = "pruning"
    costless: ClassVar[frozenset[str]] = frozenset({"recovery", "sparsify", "strength"})
    leaves_zeros: ClassVar[bool] = False
    """Whether the method sets weights to zero and does not remove them. The file then stores them
    sparsely."""

    @property
    @abstractmethod
    def training_share(self) -> float:
        """Upper bound of the epochs of all phases, as a share of the training's epochs."""

    @property
    def uniform_ratio(self) -> float | None:
        """The share of channels to prune in each layer; None if shapes depend on anything else.

        Two methods with the same uniform ratio give the same shapes, for any weights. A larger
        ratio never gives a larger shape. So the costs of other students predict the cost of a
        student before its training.
        """
        return None

    @property
    def nominal_ratio(self) -> float | None:
        """A uniform ratio with similar costs, for estimates before measured costs are available."""
        return self.uniform_ratio

    @property
    def shape_error(self) -> float:
        """Largest relative difference in cost between the pruned untrained and trained student.

        It is 0 if shapes don't depend on the weights. The estimate is then exact.
        """
        return 0.0

    def cost_error(self, limit: str) -> float:
        """Return the largest such difference in one cost, by the name of its limit."""
        del limit
        return self.shape_error

    @abstractmethod
    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        """Prune a copy of `model`, and yield the phases of training between the pruning steps.

        Args:
            model: not changed.
            example: one input, [1, channels, height, width].
            losses: computes a network's losses on training images and leaves no gradients. None if
                the caller has no images and needs only the shapes.

        Returns:
            A generator of phases. The caller finishes each phase before it requests the next one.
            The generator returns the pruned network and its cuts. The same cuts give an unpruned
            network the same shapes.

        Raises:
            ValueError: this method can't prune the model.
        """

    def apply(self, model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
        """Run `prune_in_steps` without training, to get the shapes for cost estimates.

        Raises:
            ValueError: this method can't prune the model.
        """
        steps = self.prune_in_steps(model, example, losses=None)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                pruned, cuts = end.value
                return pruned, cuts
