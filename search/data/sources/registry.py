"""The registry of sources by their names in a study file."""

from collections.abc import Callable, Iterator, Mapping

from search.config.data_settings import DataSettings
from search.data.sources import cifar, digits, folder, idx, npz, table, timm_readers
from search.data.sources.source import Source

READERS: Mapping[str, Callable[[DataSettings], Source]] = {
    "digits": digits.read,
    "folder": folder.read,
    "table": table.read,
    "mnist": idx.read_mnist,
    "fashion_mnist": idx.read_fashion_mnist,
    "cifar10": cifar.read_cifar10,
    "cifar100": cifar.read_cifar100,
    "npz": npz.read,
    "timm": timm_readers.read,
}
"""The reader of each source; a new one also needs its name in `DataSettings.source`."""

NAMED_FILES: Mapping[str, Callable[[DataSettings], Iterator[str]]] = {"table": table.named_files}
"""For a source whose files may lie anywhere: its files; those of the others are at `data.path`."""

_UNMIRRORED = frozenset({"digits", "mnist", "kmnist", "qmnist"})


def has_mirror_images(settings: DataSettings) -> bool:
    """Return whether mirrored images keep their class; True for an unknown source."""
    named = (settings.name or "").rpartition("/")[2].lower()
    return not _UNMIRRORED & {settings.source, named}
