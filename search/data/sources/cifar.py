"""CIFAR-10 and CIFAR-100, in the Python version (pickles) or the binary one.

Format: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.config.data_settings import DataSettings
from search.data.pictures import ArrayPictures
from search.data.sources.safe_pickle import read_pickle
from search.data.sources.source import Pool, Source, numbered_classes
from search.errors import DataError
from search.files.reading import DamagedFile, read_limited

_VALUES = 3 * 32 * 32
# The largest file, CIFAR-100's training file, has 154 MB; a file of names has 2 KB.
_MOST_BYTES = 2**29
_MOST_BYTES_OF_NAMES = 2**20


@dataclass(frozen=True, kw_only=True)
class _Version:
    """The layout of one version of CIFAR."""

    classes: int
    training: tuple[str, ...]
    test: str
    label: bytes  # the key of the labels in the pickles
    label_bytes: int  # before each image of the binary version; the last byte is the label
    names: bytes
    meta: str
    binary_names: str


_CIFAR10 = _Version(
    classes=10,
    training=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    label=b"labels",
    label_bytes=1,
    names=b"label_names",
    meta="batches.meta",
    binary_names="batches.meta.txt",
)
_CIFAR100 = _Version(
    classes=100,
    training=("train",),
    test="test",
    label=b"fine_labels",
    label_bytes=2,
    names=b"fine_label_names",
    meta="meta",
    binary_names="fine_label_names.txt",
)


def read_cifar10(settings: DataSettings) -> Source:
    """Read CIFAR-10.

    Raises:
        DataError: a file is missing or damaged.
    """
    return _read(settings, _CIFAR10, ("cifar-10-batches-py", "cifar-10-batches-bin"))


def read_cifar100(settings: DataSettings) -> Source:
    """Read CIFAR-100 with its 100 fine classes.

    Raises:
        DataError: a file is missing or damaged.
    """
    return _read(settings, _CIFAR100, ("cifar-100-python", "cifar-100-binary"))


def _read(settings: DataSettings, version: _Version, folders: tuple[str, ...]) -> Source:
    assert settings.path is not None
    root = settings.path.expanduser()
    for folder in (root, *(root / name for name in folders)):
        for ending in ("", ".bin"):
            if (folder / f"{version.test}{ending}").is_file():
                training = _pool(folder, version.training, ending, version)
                test = _pool(folder, (version.test,), ending, version)
                names = _names(folder, version)
                return Source(classes=names, training=training, held_out=(test,))
    raise DataError(
        f"data.path, or {' or '.join(folders)} in it, must contain {version.test} or "
        f"{version.test}.bin, but {str(root)!r} does not; unpack the archive there"
    )


def _pool(folder: Path, batches: tuple[str, ...], ending: str, version: _Version) -> Pool:
    paths = [folder / f"{name}{ending}" for name in batches]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise DataError(
            f"CIFAR must have all of its batches, but {str(folder)!r} lacks {missing}; "
            "unpack the archive again"
        )
    read = _binary_batch if ending else _pickled_batch
    pixels, labels = zip(*(read(path, version) for path in paths), strict=True)
    images = np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    pictures = ArrayPictures.of(np.ascontiguousarray(images), " and ".join(batches))
    return Pool(pictures=pictures, labels=np.concatenate(labels))


def _binary_batch(path: Path, version: _Version) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    values = np.frombuffer(_content(path, _MOST_BYTES), dtype=np.uint8)
    row = version.label_bytes + _VALUES
    if len(values) == 0 or len(values) % row:
        raise _damaged(path, f"its size must be a multiple of {row} bytes, but is {len(values)}")
    rows = values.reshape(-1, row)
    return rows[:, version.label_bytes :], rows[:, version.label_bytes - 1].astype(np.int64)


def _pickled_batch(path: Path, version: _Version) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = read_pickle(path)
    pixels, labels = batch.get(b"data"), batch.get(version.label)
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != _VALUES
    ):
        raise _damaged(path, f"its data must be uint8 of shape [images, {_VALUES}]")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise _damaged(path, f"its {version.label.decode()} must be a list of integers")
    return pixels, np.array(labels, dtype=np.int64)


def _names(folder: Path, version: _Version) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers if no file contains the names."""
    names: list[str] = []
    if (path := folder / version.meta).is_file():
        stored = read_pickle(path).get(version.names)
        names = (
            [str(name, "utf-8", "replace") for name in stored if isinstance(name, bytes)]
            if (isinstance(stored, list))
            else []
        )
    elif (path := folder / version.binary_names).is_file():
        names = _content(path, _MOST_BYTES_OF_NAMES).decode("utf-8", "replace").split()
    if len(names) == version.classes:
        return tuple(names)
    return numbered_classes(np.arange(version.classes))


def _content(path: Path, most_bytes: int) -> bytes:
    try:
        return read_limited(path, most_bytes)
    except DamagedFile as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"a CIFAR file must be undamaged, but {str(path)!r} is not ({reason}); download it again"
    )
