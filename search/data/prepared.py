"""A prepared data set on disk: memory-mapped arrays, and info.json.

The folder contains the labels of each part, and either its pixels or the locations of its pictures.
The folder is written atomically and never changed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import NO_LABEL, DataInfo, Dataset, Labels, Part
from search.data.images import Pixels
from search.data.parts import MemoryPart, StreamedPart
from search.data.pictures import Pictures
from search.data.sources.registry import KINDS
from search.data.views.augmentation import Augmentation
from search.errors import DataError
from search.files.arrays import mapped
from search.files.reading import read_json

FORMAT = 1
PARTS = ("training", "validation", "test")
UNLABELLED = "unlabelled"

_INFO = "info.json"


@dataclass(frozen=True, kw_only=True)
class PartContent:
    """The content of a part. If `pixels` is None, `pictures` locates its images."""

    labels: Labels
    pixels: Pixels | None
    pictures: Pictures


def write_part(folder: Path, part: str, content: PartContent) -> None:
    """Write one part's arrays."""
    _save(folder / f"{part}_labels.npy", content.labels)
    if content.pixels is not None:
        _save(folder / f"{part}_pixels.npy", content.pixels)
    else:
        _save(folder / f"{part}_items.npy", content.pictures.items)


def write_info(folder: Path, info: DataInfo, parts: Mapping[str, PartContent]) -> None:
    """Write info.json, the description of the whole data set."""
    kinds = {kind: name for name, kind in KINDS.items()}
    origins = {
        part: {"kind": kinds[type(content.pictures)], "origin": dict(content.pictures.origin)}
        for part, content in parts.items()
        if content.pixels is None
    }
    text = json.dumps({"format": FORMAT, "info": info.to_json(), "pictures": origins}, indent=1)
    (folder / _INFO).write_text(text, encoding="utf-8")


def open_dataset(
    folder: Path, *, augmentation: Augmentation | None = None, workers: int = 0
) -> Dataset:
    """Open a prepared data set, without reading its pixels.

    Args:
        folder: a folder that `prepare` has written.
        augmentation: the augmentation of the training images; None is the one for which they were
            prepared first.
        workers: the number of processes that decode images, if the pixels are not in memory.

    Raises:
        DataError: the folder is missing, is damaged, or has another version.
    """
    try:
        content = read_json(folder / _INFO)
        if content["format"] != FORMAT:
            raise ValueError(f"its format must be {FORMAT}, but is {content['format']}")
        info = DataInfo.from_json(content["info"])
        info = replace(info, augmentation=augmentation or info.augmentation)
        training, validation, test = (
            _part(folder, part, info, content["pictures"], workers) for part in PARTS
        )
        unlabelled = None
        if info.unlabelled:
            unlabelled = _part(folder, UNLABELLED, info, content["pictures"], workers)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"a prepared data set must be undamaged, but {str(folder)!r} is not ({error}); delete "
            "the folder, and retort will prepare it again"
        ) from error
    return Dataset(info, training, validation, test, folder, unlabelled)


def _part(
    folder: Path, part: str, info: DataInfo, pictures: Mapping[str, Any], workers: int
) -> Part:
    images = info.unlabelled if part == UNLABELLED else getattr(info.sizes, part)
    labels = _load(folder / f"{part}_labels.npy", (images,), np.int64)
    low, high = (NO_LABEL, NO_LABEL) if part == UNLABELLED else (0, len(info.classes) - 1)
    if images and not low <= labels.min() <= labels.max() <= high:
        raise ValueError(f"{part} labels must be from {low} to {high}, but are not")
    if part not in pictures:
        shape = (images, info.channels, info.image_size, info.image_size)
        pixels = _load(folder / f"{part}_pixels.npy", shape, np.uint8)
        return MemoryPart(pixels=pixels, labels=labels)
    items = _load(folder / f"{part}_items.npy", (images,), None)
    kind = KINDS[pictures[part]["kind"]]
    found = kind(items=items, channels=info.channels, origin=pictures[part]["origin"])
    return StreamedPart(pictures=found, labels=labels, size=info.image_size, workers=workers)


def _load(path: Path, shape: tuple[int, ...], kind: type[np.generic] | None) -> NDArray[Any]:
    """Map an array into memory, and check its type and the first lengths of its shape."""
    array = mapped(path)
    if array.shape[: len(shape)] != shape or (kind is not None and array.dtype != kind):
        raise ValueError(
            f"{path.name} has an unexpected type or shape, {array.dtype} {list(array.shape)}"
        )
    return array


def _save(path: Path, array: NDArray[Any]) -> None:
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)
