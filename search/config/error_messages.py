"""Messages for the validation errors of a study: what must hold, what was given, and where."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.config.study import Study
from search.config.yaml_document import Place, YamlDocument, dotted
from search.errors import StudyFileError
from search.storage.store_url import safe_url
from spaces.names import suggestion

_MOST_LINES = 10
_FLOORS = (("budget", "recall"), ("budget", "metrics"))

# From a scheme to the last @ after it on the line, since a password may hold any character.
_URL = re.compile(r"[A-Za-z][\w+.-]*://(?:[^\n]*@)?[^\s'\"]*")

# What must hold, for each of pydantic's error types that a study can cause.
_REQUIREMENTS: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a mapping of keys to values",
    "path_type": "a path",
    "string_type": "text",
    "too_short": "a list of at least {min_length}",
}


def complain(error: ValidationError, document: YamlDocument) -> StudyFileError:
    """Return the error to raise. Its message has a line for each fault, with its place."""
    lines = [_line(details, document) for details in error.errors(include_url=False)]
    lines, more = lines[:_MOST_LINES], len(lines) - _MOST_LINES
    if more > 0:
        lines.append(f"… and {more} more")
    return StudyFileError("\n".join(lines))


def mask_urls(text: str) -> str:
    """Return the text with the passwords in its URLs masked; other URLs stay unchanged."""
    return _URL.sub(lambda url: safe_url(url[0]) if {"@", "?"} & set(url[0]) else url[0], text)


def _line(details: ErrorDetails, document: YamlDocument) -> str:
    place = _place(details["loc"])
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            message = _unknown_key(place)
        case "missing":
            message = "is required" + _described(place)
        case "value_error":
            place, message = _own_message(place, str(context["error"]))
        case kind:
            required = _requirement(kind, context, details["msg"])
            message = f"must be {required}, but got {_shown(details['input'])}" + _hint(details)
    name = dotted(place)
    joint = " " if message.startswith(("must ", "is ")) else ": "
    body = f"{name}{joint}{message}" if name else f"a study {message}"
    return f"{document.origin(place)}: {mask_urls(body)}"


def _requirement(kind: str, context: Mapping[str, Any], message: str) -> str:
    """Return what must hold, from our table or else from pydantic's message."""
    if kind in _REQUIREMENTS:
        return _REQUIREMENTS[kind].format(**context)
    return message.removeprefix("Input should be ").removeprefix("a valid ")


def _place(loc: tuple[str | int, ...]) -> Place:
    # Pydantic inserts the branch of the union: teacher.several.0.model.
    return (loc[0], *loc[2:]) if loc[:1] == ("teacher",) else loc


def _own_message(place: Place, message: str) -> tuple[Place, str]:
    """Return the place and the message of one of our own validators.

    The messages of the space begin with a place inside it, those of floors with a name.
    """
    inner, separator, rest = message.partition(": ")
    if place == ("space",) and separator:
        return (*place, *inner.split(".")), rest
    if place in _FLOORS and separator and not message.startswith("must "):
        return (*place, inner), rest
    return place, message


def _unknown_key(place: Place) -> str:
    section = _section(place[:-1])
    known = list(section.model_fields) if section else []
    hint = suggestion(str(place[-1]), known) or f"; it must be one of {', '.join(known)}"
    return f"is not a known key{hint}"


def _section(place: Place) -> type[BaseModel] | None:
    """Return the model of the section at `place`."""
    section: type[BaseModel] | None = Study
    for key in place:
        if section and isinstance(key, str) and key in section.model_fields:
            section = _model_in(section.model_fields[key].annotation)
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _described(place: Place) -> str:
    section = _section(place[:-1])
    field = section.model_fields.get(str(place[-1])) if section else None
    return f": {field.description}" if field and field.description else ""


def _hint(details: ErrorDetails) -> str:
    given = details["input"]
    if details["type"] == "string_type" and isinstance(given, int | float):
        return "; put it in quotes"
    if details["type"] == "int_from_float" or (
        details["type"] == "int_type" and isinstance(given, float) and given.is_integer()
    ):
        return f"; write {given:.0f}" if given.is_integer() else ""
    if details["type"] != "literal_error":
        return ""
    options = re.findall(r"'([^']*)'", details["ctx"]["expected"])
    return suggestion(str(given), options)


_CONSTANTS: Mapping[Any, str] = {None: "null", True: "true", False: "false"}


def _shown(value: object) -> str:
    """Return a value as YAML shows it; a long one is cut."""
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
