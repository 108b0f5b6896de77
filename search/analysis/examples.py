"""Reads images and class names for display, without torch, if this machine has them.

`search.evaluation.artifact` and `search.data.prepared` write these files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import ArtifactError
from search.files.arrays import mapped
from search.files.reading import DamagedFile, read_json

_RECIPE = "recipe.json"
_INFO = "info.json"


@dataclass(frozen=True, kw_only=True)
class DataNames:
    """The names of a student's training data: the class names by label, and the data's digest."""

    classes: tuple[str, ...]
    digest: str


def data_names(artifact: Path) -> DataNames:
    """Read the class names and the digest of the data on which an artifact's student was trained.

    Raises:
        ArtifactError: the artifact's recipe.json is missing or damaged.
    """
    try:
        data = read_json(artifact / _RECIPE)["data"]
        return DataNames(classes=tuple(map(str, data["classes"])), digest=str(data["digest"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{artifact / _RECIPE} must be readable JSON with the data's classes: {error}"
        ) from error


def prepared_pixels(cache: Path, digest: str, part: str) -> NDArray[np.uint8] | None:
    """Return the images of a part, mapped into memory; None if this machine does not have them.

    Args:
        cache: `run.cache` of the study.
        digest: the digest of the data.
        part: `validation` or `test`.

    Returns:
        [images, channels, size, size].
    """
    for folder, info in _prepared(cache.expanduser() / "data"):
        if info.get("digest") != digest:
            continue
        try:
            pixels = mapped(folder / f"{part}_pixels.npy")
        except (OSError, DamagedFile):
            continue
        if pixels.ndim == 4 and pixels.dtype == np.uint8:
            return pixels
    return None


def _prepared(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for path in sorted(folder.glob(f"*/{_INFO}")):
        try:
            info = read_json(path)["info"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if isinstance(info, Mapping):
            yield path.parent, info
