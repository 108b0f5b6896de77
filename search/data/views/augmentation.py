"""What augmentation does to images: its knobs, and the levels that set them together."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from typing import Any, Self

POLICIES = ("none", "trivial", "rand")
LEVELS = ("none", "light", "standard", "strong")
_FULL = (1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The random changes of an image in a view.

    Attributes:
        shift: the largest shift, as a fraction of the side, 0 to below 1; edges are reflected.
        flip: whether each image is mirrored left to right with probability 1/2.
        scale: the smallest and the largest area of a random-resized crop, as a share of the image,
            above 0 to 1; (1, 1) crops the largest centred square.
        ratio: the smallest and the largest ratio of the crop's width to its height, above 0.
        rotation: the largest rotation to either side, in degrees, 0 to 180.
        color: the largest relative change of brightness, contrast and saturation, 0 to below 1.
        policy: `trivial` draws one operation of TrivialAugment for each image, `rand` draws
            `operations` of RandAugment, `none` draws none.
        operations: the number of operations of RandAugment.
        magnitude: the strength of the operations of RandAugment, 0 to 30.
        erasing: the probability that a rectangle of the image is erased, 0 to 1.
        level: the name of the level that set the knobs; it changes nothing.
    """

    shift: float = 0.0
    flip: bool = False
    scale: tuple[float, float] = _FULL
    ratio: tuple[float, float] = _FULL
    rotation: float = 0.0
    color: float = 0.0
    policy: str = "none"
    operations: int = 2
    magnitude: int = 9
    erasing: float = 0.0
    level: str = "none"

    @classmethod
    def of_level(cls, level: str, *, may_flip: bool, knobs: Mapping[str, Any]) -> Self:
        """Return a level's augmentation, with these knobs in place of the level's.

        Args:
            level: one of `LEVELS`.
            may_flip: whether mirrored images keep their class; every level but `none` mirrors them.
            knobs: values of attributes.
        """
        return cls(
            **{"flip": may_flip and level != "none", **_OF_LEVEL[level], **knobs, "level": level}
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Create from the values of `asdict`, also after a conversion to JSON text and back.

        Raises:
            TypeError, KeyError: the values are not those of `asdict`.
        """
        pairs = {key: (float(low), float(high)) for key in _PAIRS for low, high in [values[key]]}
        return cls(**{**values, **pairs})

    @property
    def crops(self) -> bool:
        """Whether views are random-resized crops."""
        return (self.scale, self.ratio) != (_FULL, _FULL)

    @property
    def changes_crops(self) -> bool:
        """Whether views change more than crops of files do: colours, or turned pixels."""
        return bool(self.rotation or self.color or self.erasing or self.policy != "none")

    def least_side(self, size: int) -> int:
        """Return the side, in pixels, of a square whose smallest crop has sides of `size`."""
        (small, _), (narrow, wide) = self.scale, self.ratio
        return ceil(size / sqrt(small * min(narrow, 1 / wide)))

    def key(self) -> Mapping[str, Any]:
        """Return what the pixels of a view depend on, for cache keys."""
        values = asdict(self)
        del values["level"]
        if self.policy != "rand":
            del values["operations"], values["magnitude"]
        return values

    def __str__(self) -> str:
        changes = ", ".join(self._changes()) or "unchanged"
        if not self.flip and changes != "unchanged":
            changes += ", never mirrored"
        return f"{self.level}: {changes}"

    def _changes(self) -> list[str]:
        (small, large), (narrow, wide) = self.scale, self.ratio
        texts = {
            f"cropped to {small:.0%}–{large:.0%} of the area, width ÷ height {narrow:.2g}–"
            f"{wide:.2g}": self.crops,
            f"shifted by up to {self.shift:.0%}": self.shift,
            "mirrored at random": self.flip,
            f"rotated by up to {self.rotation:g}°": self.rotation,
            f"brightness, contrast and saturation changed by up to {self.color:.0%}": self.color,
            "TrivialAugment": self.policy == "trivial",
            f"RandAugment ({self.operations} operations, magnitude {self.magnitude})": (
                self.policy == "rand"
            ),
            f"a rectangle erased with probability {self.erasing:g}": self.erasing,
        }
        return [text for text, is_on in texts.items() if is_on]


_PAIRS = ("scale", "ratio")
_RATIO = (3 / 4, 4 / 3)
_OF_LEVEL: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "light": {"shift": 0.1},
    "standard": {"scale": (0.6, 1.0), "ratio": _RATIO, "color": 0.2},
    "strong": {"scale": (0.4, 1.0), "ratio": _RATIO, "policy": "trivial", "erasing": 0.25},
}
