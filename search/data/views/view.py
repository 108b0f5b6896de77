"""Views: which augmented version of every image is seen, and in which epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from search.data.views.augmentation import Augmentation

# The views of teachers in training. Students use the views from 0, so that a teacher's answers are
# for images that it was not trained on exactly so.
_TEACHERS_FIRST = 1 << 31


@dataclass(frozen=True)
class View:
    """One augmented version of every image.

    It depends only on its seed, its number and the image's index. It does not depend on the batch,
    the order, the device, or the state of a random generator.

    Attributes:
        number: the number of the version, from 0.
        seed: the study's seed.
        augmentation: the random changes.
    """

    number: int
    seed: int
    augmentation: Augmentation


@dataclass(frozen=True, kw_only=True)
class Views:
    """The views that a training sees, one in each epoch.

    Attributes:
        seed: the study's seed.
        augmentation: the random changes.
        count: the number of different views; the epochs repeat them in turn. None: each epoch has
            a new view.
        first: the number of the first view.
    """

    seed: int
    augmentation: Augmentation
    count: int | None = None
    first: int = 0

    @classmethod
    def of_teacher(cls, *, seed: int, augmentation: Augmentation) -> "Views":
        """Return the views on which a teacher is trained; no student sees them."""
        return cls(seed=seed, augmentation=augmentation, first=_TEACHERS_FIRST)

    def endless(self) -> "Views":
        """Return the same views without a limit on their number."""
        return replace(self, count=None)

    def in_epoch(self, epoch: int) -> View:
        """Return the view of an epoch, from 0."""
        place = epoch if self.count is None else epoch % self.count
        return View(self.first + place, self.seed, self.augmentation)

    def key(self, epochs: int | None = None) -> Mapping[str, Any]:
        """Return what the pixels of the views depend on, for cache keys.

        Args:
            epochs: the number of epochs that see the views; more views than epochs make no
                difference. None leaves the number of views out.
        """
        found = {"seed": self.seed, "first": self.first, **self.augmentation.key()}
        if epochs is None or self.count is None or self.count >= epochs:
            return found
        return found | {"count": self.count}
