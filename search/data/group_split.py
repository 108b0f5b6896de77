"""Random splits that keep the images of a group together, and keep each class's share nearly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Labels
from search.data.groups import Groups
from search.errors import DataError

Counts = NDArray[np.int64]

_SMALLEST_GAIN = 1e-9


def choose_groups(
    labels: Labels,
    groups: Groups,
    wanted: Counts,
    *,
    remaining: int,
    seed: int,
    classes: tuple[str, ...],
) -> NDArray[np.bool_]:
    """Choose whole groups at random, so that each class has about as many images as wanted.

    Groups are considered in random order, again and again. A group is added, or removed again, if
    this brings the number of images of its classes nearer to the wanted number.

    Args:
        labels: the class of each image, [images].
        groups: the group of each image, [images].
        wanted: the number of images of each class to choose, above 0, [classes].
        remaining: the least number of groups of each class that are not chosen. At least one group
            of each class is chosen.
        seed: the seed of the order.
        classes: the classes' names, for the message.

    Returns:
        A mask of the chosen images, [images].

    Raises:
        DataError: a class has too few groups.
    """
    names, places = np.unique(groups, return_inverse=True)
    choice = _Choice.empty(labels, places, wanted, remaining)
    order = [int(group) for group in np.random.default_rng(seed).permutation(len(names))]
    while sum(choice.improve(group) for group in order):
        pass
    for label in np.flatnonzero(choice.groups_chosen == 0):
        able = [g for g in order if label in choice.content[g][0] and choice.may_change(g)]
        if not able:
            raise DataError(
                f"every class must have at least {remaining + 1} groups (data.groups), so that "
                "whole groups can go to each part of the data, but the "
                f"{choice.groups_total[label]} groups of {classes[label]!r} do not suffice; add "
                "images of other groups to it, or correct data.groups"
            )
        choice.change(max(able, key=choice.gain))
    return choice.is_chosen[places]


@dataclass(kw_only=True)
class _Choice:
    """The groups that are chosen so far.

    Attributes:
        content: the labels in each group, and the number of the images with each.
        wanted: the number of images of each class to choose, [classes].
        images_chosen: the number of chosen images of each class, [classes].
        groups_chosen: the number of chosen groups with images of each class, [classes].
        groups_total: the number of all groups with images of each class, [classes].
        remaining: the least number of groups of each class that are not chosen.
        is_chosen: whether each group is chosen, [groups].
    """

    content: list[tuple[Labels, Counts]]
    wanted: Counts
    images_chosen: Counts
    groups_chosen: Counts
    groups_total: Counts
    remaining: int
    is_chosen: NDArray[np.bool_]

    @classmethod
    def empty(cls, labels: Labels, places: Counts, wanted: Counts, remaining: int) -> "_Choice":
        """Create with no group chosen; `places` are the groups' numbers from 0, [images]."""
        by_group = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places))[:-1]
        content = [
            np.unique(labels[members], return_counts=True) for members in np.split(by_group, ends)
        ]
        in_groups = np.concatenate([own for own, _ in content])
        return cls(
            content=content,
            wanted=wanted,
            images_chosen=np.zeros_like(wanted),
            groups_chosen=np.zeros_like(wanted),
            groups_total=np.bincount(in_groups, minlength=len(wanted)),
            remaining=remaining,
            is_chosen=np.zeros(len(content), dtype=bool),
        )

    def improve(self, group: int) -> bool:
        """Change a group if that is a gain; return whether it was changed."""
        # Each change is a gain of more than rounding errors, so that repeated passes end.
        is_better = self.gain(group) > _SMALLEST_GAIN and self.may_change(group)
        if is_better:
            self.change(group)
        return is_better

    def gain(self, group: int) -> float:
        """Return how much nearer to the wanted numbers a change of this group would bring."""
        own, counts = self.content[group]
        wanted = self.wanted[own]
        before = self.images_chosen[own]
        after = before + self._sign(group) * counts
        return float(((abs(before - wanted) - abs(after - wanted)) / wanted).sum())

    def may_change(self, group: int) -> bool:
        """Return whether each class of the group would still have groups on both sides."""
        own, _ = self.content[group]
        after = self.groups_chosen[own] + self._sign(group)
        left = self.groups_total[own] - after
        return bool((after >= 1).all() and (left >= self.remaining).all())

    def change(self, group: int) -> None:
        """Choose a group, or remove it if it is chosen."""
        own, counts = self.content[group]
        self.images_chosen[own] += self._sign(group) * counts
        self.groups_chosen[own] += self._sign(group)
        self.is_chosen[group] = not self.is_chosen[group]

    def _sign(self, group: int) -> int:
        return -1 if self.is_chosen[group] else 1
