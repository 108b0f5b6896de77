"""The fourth axis: which part of a trained student is taken out."""

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
    """What a cut takes out of a module."""

    OUTPUTS = "outputs"  # channels that it gives
    INPUTS = "inputs"  # channels that it takes
    HEADS = "heads"  # of an attention, all of each
    ALL = "all"  # it gives what it is given


# One cut: the module's dotted name, what was cut, and which of them (of all, none is named).
Cut: TypeAlias = tuple[str, CutSide, Sequence[int]]

# From a network to its training loss on a few batches, in nats, each a scalar with a gradient.
Losses: TypeAlias = Callable[["nn.Module"], Iterable["Tensor"]]
PruningSteps: TypeAlias = Generator["TrainingPhase", None, tuple["nn.Module", list[Cut]]]


@dataclass(frozen=True, eq=False)
class TrainingPhase:
    """Training that a pruning asks for, by the recipe's own method and distillation.

    Attributes:
        network: trained in place.
        stage: the name under which its curve is recorded.
        share: of the training's epochs; 0 where the network is only shown.
        has_cut: whether something was cut since the exercise before.
        is_last: whether nothing is cut any more: it may then end as soon as it gains nothing.
        penalty: added to the loss of each step, a scalar in nats; None adds nothing.
        constraint: called after each step, puts weights back to where they must be; None leaves
            them.
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
        """That of a network that something was cut out of."""
        return cls(network, "recover", share, has_cut=True, is_last=is_last, constraint=constraint)


@dataclass(frozen=True)
class Pruning(Method, ABC):
    """Which part of a trained student is taken out."""

    axis: ClassVar[str] = "pruning"
    costless: ClassVar[frozenset[str]] = frozenset({"recovery", "sparsify", "strength"})
    leaves_zeros: ClassVar[bool] = False
    """Whether weights are set to zero rather than taken out: they are then stored sparsely."""

    @property
    @abstractmethod
    def training_share(self) -> float:
        """Epochs of all exercises together, at the most, as a share of the training's epochs."""

    @property
    def uniform_ratio(self) -> float | None:
        """The share of channels cut in every layer alike; None where shapes depend on more.

        Two methods that cut the same share leave the same shapes, whatever the weights, and one
        that cuts a larger share leaves none that is larger: what a student costs is then known
        before it is trained, and from what others cost.
        """
        return None

    @property
    def nominal_ratio(self) -> float | None:
        """The uniform ratio whose costs come near, as long as nothing better is known."""
        return self.uniform_ratio

    @property
    def shape_error(self) -> float:
        """How far an untrained student's cost may lie from the trained one's, relative to it.

        0 where shapes don't depend on what was learned: the cost is then known exactly.
        """
        return 0.0

    @abstractmethod
    def prune_in_steps(
        self, model: nn.Module, example: Tensor, *, losses: Losses | None
    ) -> PruningSteps:
        """Prunes a copy of `model`, and asks for training in between and afterwards.

        Args:
            model: left as it is.
            example: one input, [1, channels, height, width].
            losses: gives what a network loses on training images; None where there are none, as
                only shapes are asked for. It leaves no gradients.

        Returns:
            A generator of exercises, each of which has been done when it is asked for the next. At
            last it returns the pruned network, and the cuts that give an unpruned one its shapes.

        Raises:
            ValueError: the model can't be pruned by this method.
        """

    def apply(self, model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
        """What `prune_in_steps` comes to where nothing is trained: the shapes to be reckoned with.

        Raises:
            ValueError: the model can't be pruned by this method.
        """
        steps = self.prune_in_steps(model, example, losses=None)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                pruned, cuts = end.value
                return pruned, cuts
