"""Image folders: one folder for each class, optionally inside train/, val/ and test/."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from search.config.data_settings import DataSettings
from search.data.dataset import NO_LABEL
from search.data.groups import groups_of, numbered, suggested_groups
from search.data.image_files import FoundFiles, LinkRules, find_images
from search.data.image_kinds import BROKEN_LINK, EMPTY_FOLDER, HIDDEN, SUFFIXES, suffix_of
from search.data.images import printable
from search.data.pictures import FilePictures
from search.data.sources.class_folders import PartFolder, explained, read_parts
from search.data.sources.source import HELD_OUT, TRAINING, Pool, Source
from search.errors import DataError

_MOST_KINDS = 12


def read(settings: DataSettings) -> Source:
    """Read the images below `settings.path`.

    Raises:
        DataError: the folder is missing or has no class folders, its parts have different classes,
            or a class has no training images.
    """
    assert settings.path is not None
    root = settings.path.expanduser()
    if not root.is_dir():
        raise DataError(
            f"data.path must be a folder, but {str(root)!r} is not; name a folder that contains "
            "train/ and val/, or one folder for each class"
        )
    root = root.resolve()
    training = _first(root, TRAINING)
    held_out = [folder for names in HELD_OUT if (folder := _first(root, names))]
    folders = [training, *held_out] if training else [root]
    parts, empty = read_parts(folders, LinkRules(root=root, follow=settings.follow_links))
    training_pool, *held_out_pools = _pools(root, parts, settings)
    is_split = len(held_out_pools) < len(HELD_OUT)
    paths = _below(parts[0]) if is_split and settings.groups is None else []
    return Source(
        classes=tuple(printable(own.name) for own in parts[0].classes.values()),
        training=training_pool,
        held_out=tuple(held_out_pools),
        unused=_unused(root, parts, empty),
        suggested_groups=suggested_groups(paths),
    )


def unlabelled(settings: DataSettings, *, channels: int) -> tuple[Pool, Mapping[str, int]]:
    """Read the images below `settings.unlabelled`; each label is `NO_LABEL`.

    Returns:
        The images, and the number of files that are not used, by kind.

    Raises:
        DataError: the folder is missing, or contains no image.
    """
    assert settings.unlabelled is not None
    root = settings.unlabelled.expanduser().resolve()
    rules = LinkRules(root=root, follow=settings.follow_links)
    found = find_images(root, rules) if root.is_dir() else FoundFiles()
    if not found.images:
        raise DataError(
            f"data.unlabelled must be a folder with images, but {str(settings.unlabelled)!r} "
            f"contains none{explained(found.unused)}; correct the path, or remove the setting"
        )
    pictures = _pictures(root, found.images, settings, channels=channels)
    labels = np.full(len(pictures), NO_LABEL, dtype=np.int64)
    return Pool(pictures=pictures, labels=labels), found.unused


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    existing = [root / name for name in names if (root / name).is_dir()]
    if len(existing) > 1:
        raise DataError(
            f"a part of the data must have only one folder, but {str(root)!r} contains "
            f"{' and '.join(folder.name for folder in existing)}; remove all but one"
        )
    return existing[0] if existing else None


def _pools(root: Path, parts: Sequence[PartFolder], settings: DataSettings) -> Iterator[Pool]:
    """Yield the images of each part."""
    way = settings.groups
    groups = None if way is None else numbered([groups_of(_below(part), way) for part in parts])
    for place, part in enumerate(parts):
        counts = [len(own.files.images) for own in part.classes.values()]
        yield Pool(
            pictures=_pictures(root, part.images, settings, channels=3),
            labels=np.repeat(np.arange(len(counts), dtype=np.int64), counts),
            groups=None if groups is None else groups[place],
        )


def _pictures(
    root: Path, files: Sequence[str | Path], settings: DataSettings, *, channels: int
) -> FilePictures:
    names = [os.path.relpath(file, root) for file in files]
    return FilePictures.under(root, names, channels=channels, follow_links=settings.follow_links)


def _below(part: PartFolder) -> list[str]:
    """Return the paths of the images below the part's folder, with the separator `/`."""
    return [file.relative_to(part.path).as_posix() for file in part.images]


def _unused(root: Path, parts: Sequence[PartFolder], empty: Collection[str]) -> Mapping[str, int]:
    """Count what is not used, in class folders and beside them, by kind."""
    found = [own.files for part in parts for own in part.classes.values()]
    linked = frozenset().union(*(files.linked for files in found))
    counted = Counter({EMPTY_FOLDER: len(empty)})
    for files in found:
        counted.update(files.unused)
    folders = {part.path for part in parts}
    for folder in folders:
        counted.update(_files_beside(folder))
    if root not in folders:
        counted.update(_files_beside(root))
        counted.update(_in_other_folders(root, folders, linked))
    counted = +counted  # without zeros
    most = dict(counted.most_common(_MOST_KINDS))
    others = counted.total() - sum(most.values())
    return most | ({"of other kinds": others} if others else {})


def _files_beside(folder: Path) -> Counter[str]:
    """Count the files beside the folders in a folder, and what is hidden."""
    counted: Counter[str] = Counter()
    for entry in folder.iterdir():
        if entry.name.startswith((".", "__")):
            counted[HIDDEN] += 1
        elif not entry.exists():
            counted[BROKEN_LINK] += 1
        elif not entry.is_dir():
            is_image = entry.suffix.lower() in SUFFIXES
            kind = suffix_of(entry.name)
            counted[f"{kind} outside of the class folders" if is_image else kind] += 1
    return counted


def _in_other_folders(root: Path, parts: Collection[Path], linked: Collection[str]) -> Counter[str]:
    """Count the files in folders that are no part, without those that links in a part name."""
    counted: Counter[str] = Counter()
    for folder in root.iterdir():
        if folder in parts or not folder.is_dir() or folder.name.startswith((".", "__")):
            continue
        files = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
        unused = sum(str(file.resolve()) not in linked for file in files)
        counted[f"in {printable(folder.name)}/, which is no part"] += unused
    return counted
