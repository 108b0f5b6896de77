"""The fourth axis: the part of a trained student to remove."""

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
    """The part of a module that a cut removes."""

    OUTPUTS = "outputs"  # output channels
    INPUTS = "inputs"  # input channels
    HEADS = "heads"  # heads of an attention, each one whole
    ALL = "all"  # the whole module: it returns its input


# One cut: the module's dotted name, the side, and the indices (empty if the whole is cut).
Cut: TypeAlias = tuple[str, CutSide, Sequence[int]]

# Maps a network to its training loss on a few batches: scalars in nats, each with a gradient.
Losses: TypeAlias = Callable[["nn.Module"], Iterable["Tensor"]]
PruningSteps: TypeAlias = Generator["TrainingPhase", None, tuple["nn.Module", list[Cut]]]


@dataclass(frozen=True, eq=False)
class TrainingPhase:
    """Training that a pruning asks for; it uses the recipe's own method and distillation.

    Attributes:
        network: trained in place.
        stage: the name under which its curve is recorded.
        share: of the training's epochs; 0 if the network is shown but not trained.
        has_cut: whether something was cut since the previous phase.
        is_last: whether no cut follows: the phase may then end as soon as it gains nothing.
        penalty: added to the loss of each step, a scalar in nats; None adds nothing.
        constraint: called after each step, restores the weights that must not change; None does
            nothing.
    """

    network: nn.Module
    stage: str
    share: float
    has_cut: bool = False
    is_last: bool = False
    penalty: Callable[[], Tensor] | None = None
    constraint: Callable[[], None] | None = None

    @classmethod
    def recovery(
        cls,
        network: nn.Module,
        share: float,
        *,
        is_last: bool = True,
        constraint: Callable[[], None] | None = None,
    ) -> Self:
        """Return the phase that follows a cut."""
        return cls(network, "recover", share, has_cut=True, is_last=is_last, constraint=constraint)


@dataclass(frozen=True)
class Pruning(Method, ABC):
    """Which part of a trained student is removed."""

    axis: ClassVar[str] = "pruning"
    costless: ClassVar[frozenset[str]] = frozenset({"recovery", "sparsify", "strength"})
    leaves_zeros: ClassVar[bool] = False
    """Whether weights are set to zero, not removed: they are then stored sparsely."""

    @property
    @abstractmethod
    def training_share(self) -> float:
        """Upper bound of all phases' epochs together, as a share of the training's epochs."""

    @property
    def uniform_ratio(self) -> float | None:
        """The share of channels cut in every layer alike; None if shapes depend on more than it.

        Two methods that cut the same share leave the same shapes, whatever the weights. A larger
        share never leaves a larger shape. So the student's cost is known before it is trained, from
        the costs of other students.
        """
        return None

    @property
    def nominal_ratio(self) -> float | None:
        """The uniform ratio with similar costs, used until something better is known."""
        return self.uniform_ratio

    @property
    def shape_error(self) -> float:
        """Largest relative difference between the costs of an untrained and a trained student.

        0 if shapes don't depend on the training: the cost is then known exactly.
        """
        return 0.0

    @abstractmethod
    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        """Prune a copy of `model`, and ask for training between the cuts and after them.

        Args:
            model: not changed.
            example: one input, [1, channels, height, width].
            losses: computes a network's losses on training images and leaves no gradients; None if
                there are no images, because only shapes are needed.

        Returns:
            A generator of phases. The caller finishes each phase before it asks for the next. The
            generator returns the pruned network, and the cuts that give an unpruned one its shapes.

        Raises:
            ValueError: this method can't prune the model.
        """

    def apply(self, model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
        """Run `prune_in_steps` without any training, to get the shapes for cost estimates.

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
