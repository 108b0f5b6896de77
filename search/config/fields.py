"""The base class and the field types that the sections of a study file share."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from search.files.filestore import check_url, is_url
from search.files.paths import expanded, expanded_url
from search.storage.store_url import expanded_store

GROUP_WAYS = ("folder", "prefix")
"""The named ways to find the group of an image."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Section(BaseModel):
    """A section of a study file. It refuses unknown keys, and its values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


def _expanded_path(path: Path) -> Path:
    return Path(expanded(str(path)))


# Text is converted to a path. Nothing else is converted: neither `true` nor `"1"` becomes 1.
AnyPath = Annotated[Path, Strict(False), AfterValidator(_expanded_path)]


def _as_factory(factory: str) -> str:
    """Return the factory; if it names a file, with the file's absolute path."""
    module, _, function = factory.rpartition(":")
    return f"{Path(expanded(module)).absolute()}:{function}" if module.endswith(".py") else factory


Factory = Annotated[str, AfterValidator(_as_factory)]

NATURAL, SORTED = "natural", "sorted"


def class_order(given: object) -> object:
    """Return the order of a teacher's classes.

    It is natural, sorted, a file's path, the names, or the output of each class.
    """
    if isinstance(given, str):
        return given if given in (NATURAL, SORTED) else expanded(given)
    if isinstance(given, list) and given and all(isinstance(name, str) for name in given):
        return given
    if isinstance(given, dict) and given and _are_outputs(given):
        return given
    raise ValueError(
        f"must be {NATURAL}, {SORTED}, a file with one class name a line, a list of class names "
        f"(numbers in quotes), or the number of the output of each class, but got {given!r}"
    )


def _are_outputs(given: dict[object, object]) -> bool:
    return all(
        isinstance(name, str) and type(place) is int and place >= 0 for name, place in given.items()
    )


ClassOrder = Annotated[str | list[str] | dict[str, int], BeforeValidator(class_order)]


def is_group_rule(rule: str) -> str:
    """Return a rule for groups of images, if it names a way or is a regular expression."""
    if rule in GROUP_WAYS:
        return rule
    try:
        re.compile(rule)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"must be {' or '.join(GROUP_WAYS)}, or a regular expression, but got {rule!r} "
            f"({error})"
        ) from error
    return rule


GroupRule = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(is_group_rule)]


def is_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "must be up to 64 letters, digits, dots, dashes and underscores, and begin with a "
            f"letter or digit, but got {name!r}"
        )
    return name


def _is_place(address: str) -> str:
    if not is_url(address) and not address.startswith("file:"):
        return expanded(address)
    address = expanded_url(address)
    check_url(address)
    return address


def _as_text(given: object) -> object:
    return str(given) if isinstance(given, Path) else given


StoreUrl = Annotated[str, AfterValidator(expanded_store)]
Address = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_place)]
