"""Data sets that timm can read: of Hugging Face, of torchvision, and archives of images."""

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from search.config.data_settings import DataSettings
from search.data.dataset import Labels
from search.data.sources.source import Pool, Source, numbered_classes
from search.data.timm_pictures import TimmPictures, open_split
from search.errors import DataError

# Streams can't be read by index, but a view depends on the image's index.
_STREAMS = ("tfds", "wds", "hfids")
_TRAINING = ("train", "training")
_HELD_OUT = (("val", "valid", "validation", "eval", "evaluation"), ("test",))


def read(settings: DataSettings) -> Source:
    """Read the splits of the timm data set `settings.name`, with 3 channels.

    Raises:
        DataError: the data set can't be read by index, is not available, or needs a package that
            is not installed.
    """
    name = settings.name
    assert name is not None
    _check_readable(name)
    root = "" if settings.path is None else str(settings.path.expanduser())
    splits = _splits(name, root)
    opened = [open_split(name=name, root=root, split=split) for split in splits]
    pools = [
        Pool(pictures=_pictures(len(images), name, root, split), labels=_labels(images))
        for images, split in zip(opened, splits, strict=True)
    ]
    classes = _classes(opened[0], pools[0].labels)
    for images, pool, split in zip(opened[1:], pools[1:], splits[1:], strict=True):
        if _classes(images, pool.labels) != classes and hasattr(images, "reader"):
            raise DataError(
                f"train and {split} must have the same classes, but differ; "
                f"make them the same in {name!r}"
            )
    return Source(classes=classes, training=pools[0], held_out=tuple(pools[1:]))


def _check_readable(name: str) -> None:
    prefix = name.partition("/")[0].lower() if "/" in name else ""
    if prefix in _STREAMS:
        raise DataError(
            f"data.name must be a data set that is read by index, but {prefix}/ is a stream; use "
            "hfds/, torch/, or an image folder"
        )
    if prefix == "hfds" and importlib.util.find_spec("datasets") is None:
        raise DataError(
            f"{name!r} needs the package datasets, which is not installed; "
            "run pip install -e '.[datasets]'"
        )


def _splits(name: str, root: str) -> list[str]:
    """Return the names of the training split and of the held-out splits that exist."""
    prefix = name.partition("/")[0].lower() if "/" in name else ""
    if prefix == "hfds":
        return _hub_splits(name, root)
    if prefix == "torch" and name.lower() not in ("torch/folder", "torch/image_folder"):
        return ["train", "validation"]
    # If a split has no folder, timm returns all images for it, so it is not a held-out split.
    existing = [next((s for s in names if (Path(root) / s).is_dir()), None) for names in _HELD_OUT]
    held_out = [split for split in existing if split is not None]
    if held_out and not any((Path(root) / split).is_dir() for split in _TRAINING):
        raise DataError(
            f"data.path must contain train/ as well as {held_out[0]}/, but {root!r} does not; "
            "add it"
        )
    return ["train", *held_out]


def _hub_splits(name: str, root: str) -> list[str]:
    datasets = importlib.import_module("datasets")  # an optional dependency
    try:
        splits = datasets.get_dataset_split_names(name.partition("/")[2])
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the splits of {name!r} on the hub can't be listed ({str(error)[:300]}); check "
            f"data.name and the network, or set data.path ({root!r}) to downloaded data"
        ) from error
    held_out = [next((s for s in names if s in splits), None) for names in _HELD_OUT]
    return ["train", *(split for split in held_out if split is not None)]


def _pictures(count: int, name: str, root: str, split: str) -> TimmPictures:
    origin = {"name": name, "root": root, "split": split}
    return TimmPictures(items=np.arange(count), channels=3, origin=origin)


def _labels(images: Any) -> Labels:
    """Return the labels without decoding images."""
    targets: Iterable[int]
    reader = getattr(images, "reader", images)
    if hasattr(reader, "iter_targets"):
        targets = reader.iter_targets()
    elif hasattr(reader, "targets"):
        targets = reader.targets
    else:
        targets = (label for _, label in reader.samples)
    return np.array([int(label) for label in targets], dtype=np.int64)


def _classes(images: Any, labels: Labels) -> tuple[str, ...]:
    indices = getattr(getattr(images, "reader", images), "class_to_idx", None)
    if not indices:
        return numbered_classes(labels)
    return tuple(str(name) for name in sorted(indices, key=lambda name: int(indices[name])))
