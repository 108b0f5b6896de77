"""The order of a teacher's outputs: the class names that the study, or the weights, give them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from search.config.fields import NATURAL, SORTED
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.evaluation.artifact import read_provenance
from search.files.reading import DamagedFile, read_json, read_limited
from search.teachers.adapters import OrderedTeacher

Names = tuple[str, ...]

CONFIGURATION = "config.json"
"""The file that timm writes beside the weights of a folder that it saves for the hub."""

_MOST_BYTES = 2**24
_MOST_SHOWN = 5


def natural_order(classes: Sequence[str]) -> Names:
    """Return the names as timm orders folders: without regard to case, numbers by their value."""
    return tuple(sorted(classes, key=_natural_key))


def sorted_order(classes: Sequence[str]) -> Names:
    """Return the names as torchvision orders folders: by their characters' codes."""
    return tuple(sorted(classes))


def known_orders(classes: Names, class_ids: Names) -> Mapping[str, Names]:
    """Return the classes in each order that has a name in study files.

    Args:
        classes: the names by which the classes are shown.
        class_ids: their names in the data, by which they are sorted.
    """
    shown = dict(zip(class_ids, classes, strict=True))
    orders = {NATURAL: natural_order(class_ids), SORTED: sorted_order(class_ids)}
    return {name: tuple(shown[one] for one in order) for name, order in orders.items()}


def stated_names(
    settings: TeacherSettings, info: DataInfo, *, outputs: int | None = None
) -> Names | None:
    """Return the class of each output that the key `classes` states; None without this key.

    Args:
        settings: the teacher's settings.
        info: the description of the data.
        outputs: the number of the network's outputs; None if it is unknown.

    Raises:
        TeacherError: a class of the data is missing, a name occurs twice, or the file of the names
            can't be read.
    """
    if settings.classes is None:
        return None
    if settings.classes in (NATURAL, SORTED):
        return known_orders(info.classes, info.class_ids)[settings.classes]
    if isinstance(settings.classes, dict):
        given = _by_output(settings.classes, outputs)
    else:
        file = classes_file(settings)
        given = _read(file) if file else tuple(settings.classes)
    names = _spelled(given, info)
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
    for found in _own_names(settings, network) or (_names_of_imagenet(outputs),):
        names = _spelled(found, info)
        if not _fault(names, info) and outputs in (None, len(names)):
            return names
    return None


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


def _by_output(places: Mapping[str, int], outputs: int | None) -> Names:
    """Return a name for each output; those that belong to no class of the data have made-up names.

    Raises:
        TeacherError: two classes have the same output, or there is no such output.
    """
    most = max(places.values())
    if len(set(places.values())) < len(places):
        raise TeacherError(
            f"teacher.classes must give each class an output of its own, but got {dict(places)}"
        )
    if outputs is not None and most >= outputs:
        raise TeacherError(
            f"teacher.classes must give the outputs of the classes from 0 to {outputs - 1}, but "
            f"names the output {most}"
        )
    names = {place: name for name, place in places.items()}
    return tuple(names.get(place, f"output {place}") for place in range(outputs or most + 1))


def _read(file: Path) -> Names:
    try:
        lines = read_limited(file, _MOST_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise TeacherError(
            f"teacher.classes must be {NATURAL}, {SORTED}, a list of names, or a UTF-8 file with "
            f"one class name a line, but {file} can't be read: {error}"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _own_names(settings: TeacherSettings, network: nn.Module) -> tuple[Names, ...]:
    """Return the names of the outputs that the weights state; an export may state two for each."""
    names = None
    if settings.exported:
        data = read_provenance(settings.exported).data
        return data.class_ids, data.classes
    if settings.pretrained:
        names = _listed((getattr(network, "pretrained_cfg", None) or {}).get("label_names"))
    elif settings.checkpoint:
        names = _names_in(settings.checkpoint.with_name(CONFIGURATION))
    return (names,) if names else ()


def _names_of_imagenet(outputs: int | None) -> Names:
    """Return the WordNet identifiers of ImageNet's classes, if there are as many outputs.

    Only data whose folders have these names, such as n01440764, use them: no others contain every
    class of the data.
    """
    subset = infer_imagenet_subset({"num_classes": outputs})
    if subset is None:
        return ()
    names: list[str] = ImageNetInfo(subset).label_names()  # type: ignore[no-untyped-call]
    return tuple(names)


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
    """Return the names by which the data's classes are shown.

    A class may be named as it is shown, or as in the data. Accents may be decomposed, as macOS and
    archives do.
    """
    spelling = {
        normalize("NFC", one): shown
        for own in (info.classes, info.class_ids)
        for one, shown in zip(own, info.classes, strict=True)
    }
    return tuple(spelling.get(normalize("NFC", name), name) for name in names)
