"""Groups of images that belong together, such as the frames of one scene, by their paths."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from search.config.fields import GROUP_WAYS
from search.errors import DataError

Groups = NDArray[np.int64]

_NUMBER = re.compile(r"\d+(?=\D*$)")
_FEWEST_FRAMES = 3
_FEWEST_RUNS = 2


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _prefix(path: str) -> tuple[str, str]:
    """Return the folder, and the file's name up to its last number."""
    folder, _, name = path.rpartition("/")
    stem = PurePosixPath(name).stem
    number = _NUMBER.search(stem)
    return folder, stem[: number.start()] if number else stem


WAYS: Mapping[str, Callable[[str], Hashable]] = dict(
    zip(GROUP_WAYS, (_folder, _prefix), strict=True)
)
"""The named ways to find the group of an image; each takes a path below the class folders' folder.

`folder` is the folder of the file. `prefix` is the folder and the file's name up to its last
number: `00000/00012_00029.png` is in the group `00000/00012_`.
"""


def groups_of(paths: Sequence[str], way: str) -> list[Hashable]:
    """Return the group of each path.

    Args:
        paths: the paths of the images below the class folders' folder, with the separator `/`.
        way: a key of `WAYS`, or a regular expression that is searched in each path. The group is
            what its parentheses match, or the whole match. A path without a match is a group of
            its own.

    Raises:
        DataError: the regular expression matches no path.
    """
    if way in WAYS:
        return [WAYS[way](path) for path in paths]
    matches = [re.search(way, path) for path in paths]
    if paths and not any(matches):
        raise DataError(
            f"data.groups must match the paths of the images, but {way!r} matches none of "
            f"{len(paths)}, such as {paths[0]!r}; correct it"
        )
    return [
        ("matched", match.groups() or match.group()) if match else ("own", path)
        for match, path in zip(matches, paths, strict=True)
    ]


def numbered(pools: Sequence[Sequence[Hashable]]) -> list[Groups]:
    """Return the groups of each pool as numbers; the same group has the same number in all."""
    numbers: dict[Hashable, int] = {}
    return [
        np.array([numbers.setdefault(group, len(numbers)) for group in pool], dtype=np.int64)
        for pool in pools
    ]


def suggested_groups(paths: Sequence[str]) -> int:
    """Return the number of groups that the names of the images suggest; 0 if they suggest none.

    Names suggest groups if, in at least half of the classes, two or more prefixes are followed by
    successive numbers, and if at least half of the images have such names.

    Args:
        paths: the paths below the class folders' folder, with the separator `/`.
    """
    runs = {path.partition("/")[0]: 0 for path in paths}
    images = 0
    for (folder, _), members in groupby(sorted(paths, key=_prefix), key=_prefix):
        numbers = [_number(path) for path in members]
        frames = _successive(numbers)
        if frames >= _FEWEST_FRAMES and 2 * frames >= len(numbers):
            runs[folder.partition("/")[0]] += 1
            images += len(numbers)
    with_groups = sum(count >= _FEWEST_RUNS for count in runs.values())
    if 2 * with_groups < len(runs) or 2 * images < len(paths):
        return 0
    return sum(runs.values())


def _number(path: str) -> int | None:
    found = _NUMBER.search(PurePosixPath(path).stem)
    return int(found.group()) if found else None


def _successive(numbers: Iterable[int | None]) -> int:
    """Return how many of the numbers have a neighbour that is 1 higher or lower."""
    known = {number for number in numbers if number is not None}
    return sum(number + 1 in known or number - 1 in known for number in known)
