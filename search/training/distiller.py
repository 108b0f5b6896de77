"""A student in training: the network, what its method learns beside it, and its teachers."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from spaces.axes.distillation import Distillation, FeatureDistillation
from spaces.features import Feature, features_of, maps_alone, with_maps

Maps = list[tuple[Tensor, Tensor]]

# Bump it when other maps are compared, or at another size.
VERSION = 1


class Distiller(nn.Module):
    """A student and the projectors through which its method compares it, trained as one.

    Its state is the student's and the projectors'. Teachers are run but are not part of it.

    Args:
        student: a network to logits; it is trained in place.
        distillation: the method.
        teachers: networks that run beside the student, where the method needs their features.
        example: images, [batch, channels, height, width], on the device of all the networks.

    Raises:
        ValueError: a network does not give its features, or none of them can be compared.
    """

    def __init__(
        self,
        student: nn.Module,
        distillation: Distillation,
        teachers: Sequence[nn.Module],
        example: Tensor,
    ) -> None:
        super().__init__()
        self.student = student
        self.projectors = nn.ModuleList()
        # A tuple, so that torch does not register them as submodules: no state, no training mode.
        self._teachers: tuple[nn.Module, ...] = ()
        self._pairings: list[list[tuple[Feature, Feature]]] = []
        if isinstance(distillation, FeatureDistillation):
            self._teachers = tuple(teachers)
            self._compare(distillation, example)
            self.projectors.to(example.device)

    def forward(self, images: Tensor) -> tuple[Tensor, Maps]:
        """Return logits [batch, classes], and the pairs of maps that the method compares."""
        if not self._teachers:
            return self.student(images), []
        own = [feature for pairing in self._pairings for feature, _ in pairing]
        logits, maps = with_maps(self.student, images, own)
        taught = [
            shown
            for teacher, pairing in zip(self._teachers, self._pairings, strict=True)
            for shown in maps_alone(teacher, images, [feature for _, feature in pairing])
        ]
        pairs = [_of_one_size(*pair) for pair in zip(maps, taught, strict=True)]
        return logits, [
            (projector(student).float(), teacher)
            for projector, (student, teacher) in zip(self.projectors, pairs, strict=True)
        ]

    def no_weight_decay(self) -> set[str]:
        """Return the parameters that timm's optimizers don't decay, as the student names them."""
        named: set[str] = getattr(self.student, "no_weight_decay", set)()
        return {f"student.{name}" for name in named}

    def _compare(self, distillation: FeatureDistillation, example: Tensor) -> None:
        if not self._teachers:
            raise ValueError(f"{distillation.name} needs a teacher that runs beside the student")
        own = features_of(self.student, example)
        for teacher in self._teachers:
            pairing = list(distillation.pairs(own, features_of(teacher, example)))
            self._pairings.append(pairing)
            self.projectors.extend(distillation.projector(*pair) for pair in pairing)


def _of_one_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps at the smaller one's height and width, in single precision."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return _pooled(student.float(), size), _pooled(teacher.float(), size)


def _pooled(taken: Tensor, size: tuple[int, int]) -> Tensor:
    return taken if taken.shape[2:] == size else functional.adaptive_avg_pool2d(taken, size)
