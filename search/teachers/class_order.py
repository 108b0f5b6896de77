"""The order of a teacher's outputs: the class names that the study, or the weights, give them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from torch import nn

from search.config.fields import NATURAL, SORTED
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.evaluation.artifact import read_provenance
from search.files.reading import DamagedFile, read_json, read_limited
from search.teachers.adapters import OrderedTeacher

Names = tuple[str, ...]

_MOST_BYTES = 2**24
_MOST_SHOWN = 5


def natural_order(classes: Sequence[str]) -> Names:
    """Return the names as timm orders folders: without regard to case, numbers by their value."""
    return tuple(sorted(classes, key=_natural_key))


def sorted_order(classes: Sequence[str]) -> Names:
    """Return the names as torchvision orders folders: by their characters' codes."""
    return tuple(sorted(classes))


def stated_names(settings: TeacherSettings, info: DataInfo) -> Names | None:
    """Return the class of each output that the key `classes` states; None without this key.

    Raises:
        TeacherError: a class of the data is missing, a name occurs twice, or the file of the names
            can't be read.
    """
    if settings.classes is None:
        return None
    if settings.classes == NATURAL:
        return natural_order(info.classes)
    if settings.classes == SORTED:
        return sorted_order(info.classes)
    file = classes_file(settings)
    names = _spelled(_read(file) if file else tuple(settings.classes), info)
    if fault := _fault(names, info):
        raise TeacherError(
            f"teacher.classes must name the class of each output of the teacher, and every class "
            f"of the data once, but {fault}: correct it, or set it to {NATURAL} or {SORTED}"
        )
    return names


def classes_file(settings: TeacherSettings) -> Path | None:
    """Return the file that the key `classes` names; None if it names no file."""
    given = settings.classes
    return Path(given) if isinstance(given, str) and given not in (NATURAL, SORTED) else None


def names_of_weights(
    settings: TeacherSettings, network: nn.Module, info: DataInfo, *, outputs: int | None
) -> Names | None:
    """Return the class of each output that the weights' own configuration states.

    Args:
        settings: the teacher's settings.
        network: its network; timm's networks have a configuration.
        info: the description of the data.
        outputs: the number of the network's outputs; None if it is unknown.

    Returns:
        The names; None if there are none, or if they are not names of the data's classes.
    """
    names = _spelled(_own_names(settings, network) or (), info)
    return None if _fault(names, info) or outputs not in (None, len(names)) else names


def columns(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the output of each class."""
    places = {name: place for place, name in enumerate(names)}
    return [places[one] for one in classes]


def in_data_order(network: nn.Module, names: Names, info: DataInfo) -> nn.Module:
    """Return the network with its outputs in the order of the data's classes."""
    if names == info.classes:
        return network
    return OrderedTeacher(network, names=names, columns=columns(names, info.classes))


def _natural_key(name: str) -> list[tuple[int, str]]:
    # The pattern's group makes every second part a number.
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if odd % 2 else (0, part) for odd, part in enumerate(parts)]


def _read(file: Path) -> Names:
    try:
        lines = read_limited(file, _MOST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise TeacherError(
            f"teacher.classes must be {NATURAL}, {SORTED}, a list of names, or a UTF-8 file with "
            f"one class name a line, but {file} can't be read: {error}"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _own_names(settings: TeacherSettings, network: nn.Module) -> Names | None:
    if settings.exported:
        return read_provenance(settings.exported).data.classes
    if settings.pretrained:
        return _listed((getattr(network, "pretrained_cfg", None) or {}).get("label_names"))
    if settings.checkpoint:
        # timm writes it beside the weights of a folder that it saves for the hub.
        return _names_in(settings.checkpoint.with_name("config.json"))
    return None


def _names_in(config: Path) -> Names | None:
    try:
        found = read_json(config)
    except (OSError, DamagedFile):
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("pretrained_cfg")
    inner = inner if isinstance(inner, dict) else {}
    return _listed(found.get("label_names") or inner.get("label_names"))


def _listed(given: Any) -> Names | None:
    """Return timm's label names, a list or a mapping from the output's number to its name."""
    if isinstance(given, dict):
        try:
            by_number = {int(number): name for number, name in given.items()}
        except ValueError:
            return None
        if sorted(by_number) != list(range(len(by_number))):
            return None
        given = [by_number[number] for number in range(len(by_number))]
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        return None
    return tuple(given) or None


def _fault(names: Names, info: DataInfo) -> str | None:
    """Return why the names can't be those of the outputs; None if they can."""
    (name, times), *_ = Counter(names).most_common(1) or [("", 0)]
    if times > 1:
        return f"{name!r} occurs {times} times among its {len(names)} names"
    known = set(names)
    missing = [one for one in info.classes if one not in known]
    if not missing:
        return None
    more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
    shown = ", ".join(map(repr, missing[:_MOST_SHOWN]))
    return f"its {len(names)} names lack {shown}{more}"


def _spelled(names: Names, info: DataInfo) -> Names:
    """Return the names as the data spell them: macOS and archives decompose accents."""
    spelling = {normalize("NFC", one): one for one in info.classes}
    return tuple(spelling.get(normalize("NFC", name), name) for name in names)
