"""The settings of a study file, read from its types, for the command and the documentation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from search.config.fields import class_order
from search.config.study import Study
from search.config.table_settings import class_names
from search.objectives.floors import parse_metric_floors, parse_recalls
from search.objectives.limits import limits
from search.objectives.units import format_bytes, parse_bytes, parse_room, parse_seconds

_BYTES = (parse_bytes, parse_room)
_QUANTITIES: Mapping[Callable[..., Any], str] = {
    parse_bytes: "bytes, such as 2MB",
    parse_room: "bytes, such as 2GB, or 0",
    parse_seconds: "time, such as 2h",
    class_order: "natural, sorted, a path, a list of names, or the output of each class",
    class_names: "a path, a list of names, or a mapping to names",
    parse_recalls: "a mapping of classes to shares, above 0, at most 1",
    parse_metric_floors: "a mapping of metrics to values",
    **{limit.parse: limit.takes for limit in limits().values()},
}
_NUMBERS = ((int, "whole number"), (float, "number"))
_KINDS = ((bool, "true or false"), (Path, "path"), *_NUMBERS)


@dataclass(frozen=True)
class DocumentedKey:
    """A key of a study file.

    Attributes:
        key: the full key, such as `budget.size`.
        takes: the values that the key can have.
        default: the value if the key is left out, as YAML; None if the key must be given.
        meaning: what the key sets.
    """

    key: str
    takes: str
    default: str | None
    meaning: str

    @property
    def part(self) -> str:
        """The top-level key to which the key belongs."""
        return self.key.partition(".")[0]


def list_settings(part: str | None = None) -> list[DocumentedKey]:
    """List the settings under a top-level key, or all of them, in the order of the file.

    Raises:
        ValueError: there is no such key.
    """
    found = list(_settings(Study))
    parts = dict.fromkeys(one.part for one in found)
    if part is not None and part not in parts:
        raise ValueError(f"part must be one of {', '.join(parts)}, but got {part!r}")
    return [one for one in found if part in (None, one.part)]


def as_markdown(settings: Sequence[DocumentedKey]) -> str:
    """Return a table for each top-level key."""
    parts = dict.fromkeys(one.part for one in settings)
    return "\n".join(_table(part, [one for one in settings if one.part == part]) for part in parts)


def _table(part: str, settings: Iterable[DocumentedKey]) -> str:
    rows = [
        f"| `{one.key}` | {one.takes} | {one.default or '**must be given**'} | {one.meaning} |"
        for one in settings
    ]
    head = [f"### {part}", "", "| key | values | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _settings(
    section: type[BaseModel], above: str = "", around: tuple[type[BaseModel], ...] = ()
) -> Iterator[DocumentedKey]:
    around = (*around, section)
    for name, field in section.model_fields.items():
        key = f"{above}{name}"
        leaves = [*_leaves(field.annotation), *field.metadata]
        below = _section(leaves)
        # A section within one of the same kind has the same keys.
        takes = "the keys of a teacher" if below in around else _takes(leaves)
        yield DocumentedKey(key, takes, _default(field, leaves), field.description or "")
        if below and below not in around:
            yield from _settings(below, f"{key}.", around)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types and the constraints that make up an annotation."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
    elif get_origin(annotation) in (Annotated, Union, UnionType, list):
        if get_origin(annotation) is list:
            yield list
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _section(leaves: Iterable[Any]) -> type[BaseModel] | None:
    return next(
        (leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel)), None
    )


def _parsers(leaves: Iterable[Any]) -> list[Any]:
    return [leaf.func for leaf in leaves if isinstance(leaf, BeforeValidator)]


def _takes(leaves: Sequence[Any]) -> str:
    for parser in _parsers(leaves):
        if parser in _QUANTITIES:
            return _QUANTITIES[parser]
    for leaf in leaves:
        if get_origin(leaf) is Literal:
            words = ", ".join(get_args(leaf))
            number = next((text for kind, text in _NUMBERS if kind in leaves), None)
            also = f", or a {number}{_bounds(leaves)}" if number else ""
            return f"one of {words}{also}"
    if _section(leaves):
        return "the keys below, or a list of them" if list in leaves else "the keys below"
    if dict[str, Any] in leaves:
        return "methods by axis; `retort methods` lists them"
    if any(get_origin(leaf) is dict for leaf in leaves):
        return "a method with its parameters"
    kind = next((text for one, text in _KINDS if one in leaves), "text")
    values = f"{kind}{_bounds(leaves)}"
    return f"list; each: {values}" if list in leaves else values


def _bounds(leaves: Iterable[Any]) -> str:
    bounds = []
    for leaf in leaves:
        match leaf:
            case Ge(ge=bound):
                bounds.append(f"at least {bound}")
            case Gt(gt=bound):
                bounds.append(f"above {bound}")
            case Le(le=bound):
                bounds.append(f"at most {bound}")
            case Lt(lt=bound):
                bounds.append(f"below {bound}")
    return f", {', '.join(bounds)}" if bounds else ""


def _default(field: FieldInfo, leaves: Sequence[Any]) -> str | None:
    if field.is_required():
        return None
    value = field.default
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case BaseModel():
            return "the defaults below"
        case int() if any(parser in _BYTES for parser in _parsers(leaves)):
            return format_bytes(value)
    return str(value)
