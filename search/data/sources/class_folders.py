"""The class folders of one part of an image folder.

A folder is a class by its name in Unicode's composed form (NFC), since one file system stores
`é` as one character and another as two. A folder without any file, in all parts, is no class.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.data.image_files import FoundFiles, LinkRules, find_images
from search.data.image_kinds import advice
from search.errors import DataError


@dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """The folder of one class in one part, or its folders if its name has several forms.

    Attributes:
        name: the folder's name as it is stored, or its composed form if there are several.
        files: the content.
    """

    name: str
    files: FoundFiles


@dataclass(frozen=True, kw_only=True)
class PartFolder:
    """The folder of a part.

    Attributes:
        path: the folder.
        classes: its class folders by their names in composed form, in the order of their labels.
    """

    path: Path
    classes: Mapping[str, ClassFolder]

    @property
    def images(self) -> list[Path]:
        """The paths of all images, in the order of their labels."""
        return [Path(file) for own in self.classes.values() for file in own.files.images]


def read_parts(folders: Sequence[Path], rules: LinkRules) -> tuple[list[PartFolder], set[str]]:
    """Read the folders of the parts; the first is the training part.

    Returns:
        The parts, all with the same classes in the same order, and the names of the folders that
        are no classes because they are empty.

    Raises:
        DataError: a part has no class folders, parts have different classes, or a class has no
            training images.
        OSError: a folder can't be listed.
    """
    parts = [_read(folder, rules) for folder in folders]
    empty = _empty_in_all(parts)
    training = _ordered(parts[0], [name for name in parts[0].classes if name not in empty])
    _check_all_have_images(training)
    for part in parts[1:]:
        _check_same_classes(training, part.path, set(part.classes) - empty)
    return [training, *(_ordered(part, training.classes) for part in parts[1:])], empty


def explained(unused: Mapping[str, int]) -> str:
    """Return the content of a folder without images, in parentheses; empty if it is empty."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(unused).most_common(5))
    return f" (but {kinds})" if kinds else ""


def _read(folder: Path, rules: LinkRules) -> PartFolder:
    found: dict[str, ClassFolder] = {}
    for name in _class_names(folder):
        key, files = unicodedata.normalize("NFC", name), find_images(folder / name, rules)
        if other := found.get(key):
            found[key] = ClassFolder(name=key, files=other.files + files)
        else:
            found[key] = ClassFolder(name=name, files=files)
    if not found:
        raise DataError(
            f"an image folder must contain a folder for each class, but {str(folder)!r} has none; "
            "check data.path"
        )
    by_name = sorted(found.items(), key=lambda item: item[1].name)
    return PartFolder(path=folder, classes=dict(by_name))


def _class_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and not entry.name.startswith((".", "__"))
        )


def _empty_in_all(parts: Sequence[PartFolder]) -> set[str]:
    """Return the names of the folders that have no file in any part."""
    content = [item for part in parts for item in part.classes.items()]
    return {name for name, _ in content} - {name for name, own in content if not own.files.is_empty}


def _ordered(part: PartFolder, names: Sequence[str] | Mapping[str, ClassFolder]) -> PartFolder:
    return PartFolder(path=part.path, classes={name: part.classes[name] for name in names})


def _check_same_classes(training: PartFolder, other: Path, found: set[str]) -> None:
    expected = set(training.classes)
    if expected == found:
        return
    missing, extra = sorted(expected - found)[:5], sorted(found - expected)[:5]
    raise DataError(
        f"{training.path.name}/ and {other.name}/ must have the same classes, but {other.name}/ "
        f"lacks {missing} and also has {extra}; make their class folders the same"
    )


def _check_all_have_images(training: PartFolder) -> None:
    """Check that each class has images; the message says what else its folder contains."""
    lacking = [own for own in training.classes.values() if not own.files.images]
    if not lacking:
        return
    content = ", ".join(f"{own.name!r}{explained(own.files.unused)}" for own in lacking[:5])
    advised = advice({kind for own in lacking for kind in own.files.unused})
    raise DataError(
        f"every class must have training images, but {len(lacking)} of {len(training.classes)} "
        f"have none that retort reads: {content}; {advised or 'add images, or remove the folder'}"
    )
