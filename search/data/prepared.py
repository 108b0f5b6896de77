"""A prepared data set on disk: memory-mapped arrays, shards, and info.json.

The folder contains the labels of each part, its pixels if they are held in memory, and the
locations of its pictures, which may be shards in the same folder. Pixels of arrays have no
pictures. The folder is written atomically and never changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import NO_LABEL, DataInfo, Dataset, Labels, Part
from search.data.decoders import Decoders
from search.data.part_writer import PIXELS_FILE
from search.data.parts import MemoryPart, StreamedPart
from search.data.pictures import Pictures
from search.data.stored_part import Placement, StoredPart
from search.data.stored_pictures import INFO, open_pictures, write_pictures
from search.data.views.augmentation import Augmentation
from search.errors import DataError
from search.files.arrays import mapped
from search.files.reading import read_json

FORMAT = 2
PARTS = ("training", "validation", "test")
UNLABELLED = "unlabelled"


@dataclass(frozen=True, kw_only=True)
class PartContent:
    """The content of a part, whose pixels or shards are already written.

    Attributes:
        labels: the labels, [images].
        pictures: locates the images.
        stored: how the images are stored.
    """

    labels: Labels
    pictures: Pictures
    stored: StoredPart


def write_description(folder: Path, info: DataInfo, parts: Mapping[str, PartContent]) -> None:
    """Write the labels and pictures of each part, and info.json, which describes the whole.

    Args:
        folder: the folder.
        info: the description of the data set.
        parts: the parts by their names.
    """
    pictures = {}
    for part, content in parts.items():
        np.save(folder / f"{part}_labels.npy", content.labels, allow_pickle=False)
        is_held = content.stored.placement is Placement.PIXELS
        if not (is_held and content.pictures.complete):
            pictures[part] = write_pictures(folder, part, content.pictures)
    stored = {part: asdict(content.stored) for part, content in parts.items()}
    description = {
        "format": FORMAT,
        "info": info.to_json(),
        "pictures": pictures,
        "stored": stored,
    }
    (folder / INFO).write_text(json.dumps(description, indent=1), encoding="utf-8")


def open_dataset(
    folder: Path, *, augmentation: Augmentation | None = None, workers: int = 0
) -> Dataset:
    """Open a prepared data set, without reading its pixels.

    Args:
        folder: a folder that `prepare` has written.
        augmentation: the augmentation of the training images; None is the one for which they were
            prepared first.
        workers: the number of processes that decode images; with 0, this process decodes. They are
            started when an image must be decoded.

    Raises:
        DataError: the folder is missing, is damaged, or has another version.
    """
    try:
        content = read_json(folder / INFO)
        if content["format"] != FORMAT:
            raise ValueError(f"its format must be {FORMAT}, but is {content['format']}")
        info = DataInfo.from_json(content["info"])
        info = replace(info, augmentation=augmentation or info.augmentation)
        decoders = Decoders(folder, workers) if workers and content["pictures"] else None
        names = (*PARTS, UNLABELLED) if info.unlabelled else PARTS
        stored = {part: _stored(content["stored"][part]) for part in names}
        parts = {
            part: _part(folder, part, info, stored[part], content["pictures"], decoders)
            for part in names
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"a prepared data set must be undamaged, but {str(folder)!r} is not ({error}); delete "
            "the folder, and retort will prepare it again"
        ) from error
    return Dataset(
        info,
        training=parts["training"],
        validation=parts["validation"],
        test=parts["test"],
        folder=folder,
        unlabelled=parts.get(UNLABELLED),
        stored=stored,
        decoders=decoders,
    )


def _part(
    folder: Path,
    part: str,
    info: DataInfo,
    stored: StoredPart,
    pictures: Mapping[str, Any],
    decoders: Decoders | None,
) -> Part:
    images = info.unlabelled if part == UNLABELLED else getattr(info.sizes, part)
    labels = _load(folder / f"{part}_labels.npy", (images,), np.int64)
    low, high = (NO_LABEL, NO_LABEL) if part == UNLABELLED else (0, len(info.classes) - 1)
    if images and not low <= labels.min() <= labels.max() <= high:
        raise ValueError(f"{part} labels must be from {low} to {high}, but are not")
    streamed = None
    if part in pictures:
        found = open_pictures(folder, part, pictures[part])
        if len(found) != images:
            raise ValueError(f"{part} must have {images} images, but has {len(found)}")
        streamed = StreamedPart(
            name=part, pictures=found, labels=labels, size=info.image_size, decoders=decoders
        )
    if stored.placement is Placement.PIXELS:
        shape = (images, info.channels, info.image_size, info.image_size)
        pixels = _load(folder / PIXELS_FILE.format(part=part), shape, np.uint8)
        return MemoryPart(pixels=pixels, labels=labels, originals=streamed)
    if streamed is None:
        raise ValueError(f"{part} must have pixels or pictures, but has neither")
    return streamed


def _stored(values: Mapping[str, Any]) -> StoredPart:
    return StoredPart(**{**values, "placement": Placement(values["placement"])})


def _load(path: Path, shape: tuple[int, ...], kind: type[np.generic] | None) -> NDArray[Any]:
    """Map an array into memory, and check its type and the first lengths of its shape."""
    array = mapped(path)
    if array.shape[: len(shape)] != shape or (kind is not None and array.dtype != kind):
        raise ValueError(
            f"{path.name} has an unexpected type or shape, {array.dtype} {list(array.shape)}"
        )
    return array
