"""Image folders: one folder for each class, optionally inside train/, val/ and test/."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from search.config.study import DataSettings
from search.data.dataset import NO_LABEL
from search.data.images import EXTENSIONS, printable
from search.data.pictures import FilePictures
from search.data.sources.source import Pool, Source
from search.errors import DataError

_TRAINING = ("train", "training")
_HELD_OUT = (("val", "valid", "validation"), ("test",))


def read(settings: DataSettings) -> Source:
    """Read the images below `settings.path`.

    Raises:
        DataError: the folder is missing or has no class folders, or its parts have different
            classes.
    """
    assert settings.path is not None
    root = settings.path.expanduser()
    if not root.is_dir():
        raise DataError(
            f"data.path must be a folder, but {str(root)!r} is not; name a folder that contains "
            "train/ and val/, or one folder for each class"
        )
    training = _first(root, _TRAINING)
    if training is None:
        classes = _classes(root)
        return Source(classes=_names(classes), training=_pool(root, root, classes))
    classes = _classes(training)
    held_out = [folder for names in _HELD_OUT if (folder := _first(root, names))]
    for folder in held_out:
        _check_same_classes(training, classes, folder, _classes(folder))
    return Source(
        classes=_names(classes),
        training=_pool(root, training, classes),
        held_out=tuple(_pool(root, folder, classes) for folder in held_out),
    )


def unlabelled(settings: DataSettings, *, channels: int) -> Pool:
    """Read the images below `settings.unlabelled`; each label is `NO_LABEL`.

    Raises:
        DataError: the folder is missing, or contains no image.
    """
    assert settings.unlabelled is not None
    root = settings.unlabelled.expanduser()
    names = sorted(os.path.relpath(file, root) for file in _image_files(root))
    if not names:
        raise DataError(
            f"data.unlabelled must be a folder with images, but {str(root)!r} contains none; "
            "correct the path, or remove the setting"
        )
    pictures = replace(FilePictures.under(root, names), channels=channels)
    return Pool(pictures=pictures, labels=np.full(len(names), NO_LABEL, dtype=np.int64))


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    existing = [root / name for name in names if (root / name).is_dir()]
    if len(existing) > 1:
        raise DataError(
            f"a part of the data must have only one folder, but {str(root)!r} contains "
            f"{' and '.join(folder.name for folder in existing)}; remove all but one"
        )
    return existing[0] if existing else None


def _classes(folder: Path) -> list[str]:
    names = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith((".", "__"))
    )
    if not names:
        raise DataError(
            f"an image folder must contain a folder for each class, but {str(folder)!r} has none; "
            "check data.path"
        )
    return names


def _names(classes: list[str]) -> tuple[str, ...]:
    return tuple(printable(name) for name in classes)


def _check_same_classes(training: Path, expected: list[str], other: Path, found: list[str]) -> None:
    if expected == found:
        return
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    raise DataError(
        f"{training.name}/ and {other.name}/ must have the same classes, but {other.name}/ lacks "
        f"{missing[:5]} and also has {extra[:5]}; make their class folders the same"
    )


def _pool(root: Path, folder: Path, classes: list[str]) -> Pool:
    names: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(_image_files(folder / name))
        names += [os.path.relpath(file, root) for file in files]
        labels += [label] * len(files)
    return Pool(pictures=FilePictures.under(root, names), labels=np.array(labels, dtype=np.int64))


def _image_files(folder: Path) -> Iterator[str]:
    """Yield every file with the suffix of an image, damaged or not, except hidden files."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            if not file.startswith(".") and Path(file).suffix.lower() in EXTENSIONS:
                yield f"{parent}{os.sep}{file}"
