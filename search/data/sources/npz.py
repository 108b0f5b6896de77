"""One .npz file with the arrays `images` and `labels`.

The arrays of other parts have the prefix `val_` or `test_`. Images are uint8, [n, height, width] or
[n, height, width, channels] with 1 or 3 channels. Labels are integers from 0. The array `classes`
is optional and contains the names of the classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.config.data_settings import DataSettings
from search.data.dataset import Labels
from search.data.pictures import ArrayPictures
from search.data.sources.source import Pool, Source, numbered_classes
from search.errors import DataError
from search.files.arrays import read_npz
from search.files.reading import DamagedFile

Arrays = Mapping[str, NDArray[Any]]

_NAMES = ("images", "labels", "val_images", "val_labels", "test_images", "test_labels", "classes")


def read(settings: DataSettings) -> Source:
    """Read the arrays of `settings.path`.

    Raises:
        DataError: the file is missing or damaged, or an array has a wrong type or shape.
    """
    assert settings.path is not None
    arrays = _arrays(settings.path.expanduser())
    training = _pool(arrays, "")
    held_out = tuple(_pool(arrays, part) for part in ("val_", "test_") if _has(arrays, part))
    if any(pool.pictures.channels != training.pictures.channels for pool in held_out):
        raise DataError(
            "all parts must have the same number of channels, but have not; convert the images"
        )
    names = arrays.get("classes")
    classes = numbered_classes(training.labels) if names is None else _names(names)
    return Source(classes=classes, training=training, held_out=held_out)


def _arrays(path: Path) -> Arrays:
    if not path.is_file():
        raise DataError(
            f"data.path must be an .npz file, but {str(path)!r} is not a file; correct the path"
        )
    try:
        return read_npz(path, _NAMES)
    except (OSError, DamagedFile) as error:
        raise DataError(
            f"an .npz file must be undamaged and without Python objects, but {str(path)!r} is not "
            f"({error}); write it again with numpy.savez"
        ) from error


def _has(arrays: Arrays, part: str) -> bool:
    return f"{part}images" in arrays or f"{part}labels" in arrays


def _pool(arrays: Arrays, part: str) -> Pool:
    for name in (f"{part}images", f"{part}labels"):
        if name not in arrays:
            raise DataError(
                f"an .npz file must contain {name!r}, but contains {sorted(arrays)}; add it"
            )
    images = _images(arrays[f"{part}images"], f"{part}images")
    labels = _labels(arrays[f"{part}labels"], f"{part}labels")
    return Pool(pictures=ArrayPictures.of(images, f"{part}images"), labels=labels)


def _images(images: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(
            f"{name} must be uint8 of shape [n, height, width] or [n, height, width, 1 or 3], "
            f"but got {images.dtype} of shape {list(images.shape)}; convert them"
        )
    if 0 in images.shape:
        raise DataError(
            f"{name} must contain images, but has the shape {list(images.shape)}; add images"
        )
    return images


def _names(names: NDArray[Any]) -> tuple[str, ...]:
    if names.ndim != 1:
        raise DataError(f"classes must have the shape [n], but has {list(names.shape)}; correct it")
    try:
        if names.dtype.kind == "S":
            names = np.char.decode(names, "utf-8")
        return tuple(str(name) for name in names)
    except ValueError as error:
        raise DataError(f"classes must be UTF-8 text, but is not ({error}); correct it") from error


def _labels(labels: NDArray[Any], name: str) -> Labels:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"{name} must be integers of shape [n], "
            f"but got {labels.dtype} of shape {list(labels.shape)}; convert them"
        )
    return labels.astype(np.int64)
