"""A student in distillation: the student, the projectors that are trained with it, its teachers."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from spaces.axes.distillation import Distillation, FeatureDistillation
from spaces.features import Feature, features_of, maps_alone, with_maps

Maps = list[tuple[Tensor, Tensor]]

# Bump it when other feature maps are compared, or at another size.
VERSION = 1


class Distiller(nn.Module):
    """A student and its projectors as one module to train; the projectors adapt its feature maps.

    The module's state contains the student and the projectors. It does not contain the teachers.

    Args:
        student: a network that returns logits; it is trained in place.
        distillation: the distillation method.
        teachers: the teachers' networks, for a method that needs their features; they run on the
            same images as the student.
        example: images, [batch, channels, height, width], on the device of all networks.

    Raises:
        ValueError: a network does not provide its feature maps, or no maps can be compared.
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
        # A tuple: torch then does not register the teachers as submodules with state and training
        # mode.
        self._teachers: tuple[nn.Module, ...] = ()
        self._pairings: list[list[tuple[Feature, Feature]]] = []
        if isinstance(distillation, FeatureDistillation):
            self._teachers = tuple(teachers)
            self._pair_features(distillation, example)
            self.projectors.to(example.device)

    def forward(self, images: Tensor) -> tuple[Tensor, Maps]:
        """Return logits [batch, classes], and the pairs of feature maps to compare."""
        if not self._teachers:
            return self.student(images), []
        own = [feature for pairing in self._pairings for feature, _ in pairing]
        logits, maps = with_maps(self.student, images, own)
        teacher_maps = [
            teacher_map
            for teacher, pairing in zip(self._teachers, self._pairings, strict=True)
            for teacher_map in maps_alone(teacher, images, [feature for _, feature in pairing])
        ]
        pairs = [_same_size(*pair) for pair in zip(maps, teacher_maps, strict=True)]
        return logits, [
            (projector(student).float(), teacher)
            for projector, (student, teacher) in zip(self.projectors, pairs, strict=True)
        ]

    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters that timm's optimizers must not decay."""
        named: set[str] = getattr(self.student, "no_weight_decay", set)()
        return {f"student.{name}" for name in named}

    def _pair_features(self, distillation: FeatureDistillation, example: Tensor) -> None:
        if not self._teachers:
            raise ValueError(
                f"{distillation.name} must have a teacher's network, but there is none"
            )
        own = features_of(self.student, example)
        for teacher in self._teachers:
            pairing = list(distillation.pairs(own, features_of(teacher, example)))
            self._pairings.append(pairing)
            self.projectors.extend(distillation.projector(*pair) for pair in pairing)


def _same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps as float32, pooled to the smaller height and width of the two."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return _pooled(student.float(), size), _pooled(teacher.float(), size)


def _pooled(taken: Tensor, size: tuple[int, int]) -> Tensor:
    return taken if taken.shape[2:] == size else functional.adaptive_avg_pool2d(taken, size)
