"""Loading of study files and overrides into a typed Study, and its stored form."""

import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from pydantic import ValidationError

from search.config.error_messages import complain, mask_urls
from search.config.fields import NATURAL, SORTED
from search.config.study import RunSettings, Study
from search.config.yaml_document import Place, YamlDocument, dotted, read_document
from search.errors import StudyFileError
from search.files.paths import expanded
from search.storage.store_url import safe_url
from spaces.axes.student import NO_WEIGHTS, TEACHERS_WEIGHTS

_MOST_BYTES = 10**6
_OVERRIDE = re.compile(r"([A-Za-z_][\w-]*(?:\.[\w-]+)*)=(.*)", re.DOTALL)

# Paths that a study file may give relative to its own folder.
_DATA_PATHS = ("path", "images", "class_names", "unlabelled")
_TEACHER_PATHS = ("checkpoint", "exported", "factory", "classes")


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Load the study that a file describes.

    Relative paths of data and teacher in the file are relative to the file's folder. Relative
    paths in an override are relative to the current folder.

    Args:
        path: a YAML file of at most 1 MB.
        overrides: `a.b=c`, where `c` is YAML; the last one for a key wins.

    Raises:
        StudyFileError: the file can't be read, or it or an override is invalid; the message has
            a line for each fault.
    """
    text = _read(path)
    document = read_document(text, lambda line, column: f"{path}:{line}:{column}")
    if not isinstance(document.values, dict):
        raise StudyFileError(
            f"{path}:1:1: a study must be a mapping of keys to values, such as 'study: digits', "
            f"but this is a {'list' if isinstance(document.values, list) else 'single value'}"
        )
    document = _anchored(document, path.parent.absolute())
    for override in overrides:
        document = _overridden(document, override)
    return _validated(document)


def peek_run(path: Path, overrides: Sequence[str] = ()) -> RunSettings | None:
    """Return the section `run` of a study file, without a check of the others; None if it is bad.

    `load_study` takes seconds to check a space, and reports what is wrong.
    """
    try:
        document = read_document(_read(path), lambda line, column: f"{path}:{line}:{column}")
        for override in overrides:
            document = _overridden(document, override)
        values = document.values
        return RunSettings.model_validate(values.get("run") or {}) if _is_study(values) else None
    except (StudyFileError, ValidationError):
        return None


def _is_study(values: object) -> TypeGuard[dict[str, object]]:
    """Return whether a document looks like a study: with all the keys that must be given."""
    required = {name for name, field in Study.model_fields.items() if field.is_required()}
    return isinstance(values, dict) and required <= values.keys() <= Study.model_fields.keys()


def dump_study(study: Study) -> dict[str, object]:
    """Return the study in JSON's types, with all defaults; the storage's secrets are masked."""
    values: dict[str, object] = study.model_dump(mode="json")
    run = study.run.model_dump(mode="json")
    return values | {"run": run | {"storage": safe_url(study.run.storage)}}


def study_from_dict(values: Mapping[str, object], overrides: Sequence[str] = ()) -> Study:
    """Rebuild the study that `dump_study` wrote; masked secrets stay masked.

    Args:
        values: the output of `dump_study`.
        overrides: as for `load_study`.

    Raises:
        StudyFileError: the values are not a study that this version can read, or an override is
            malformed.
    """
    document = YamlDocument(dict(values), {(): "stored study"})
    for override in overrides:
        document = _overridden(document, override)
    return _validated(document)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise StudyFileError(
            f"{path}: must be a readable study file, but is not ({error.strerror}); "
            "`retort init` writes one"
        ) from error
    if len(content) > _MOST_BYTES:
        raise StudyFileError(f"{path}: a study file must be at most 1 MB, but this one is larger")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyFileError(
            f"{path}: a study file must be UTF-8 text, but byte {error.start + 1} is not"
        ) from None


def _validated(document: YamlDocument) -> Study:
    try:
        return Study.model_validate(document.values)
    except ValidationError as error:
        # Not chained: pydantic's message repeats the values, and with them the secrets.
        raise complain(error, document) from None


def _overridden(document: YamlDocument, override: str) -> YamlDocument:
    shown = f"override {mask_urls(override)}"
    match = _OVERRIDE.fullmatch(override)
    if match is None:
        raise StudyFileError(
            f"{shown}: an override must be written key=value, such as search.trials=50"
        )
    place: Place = tuple(match[1].split("."))
    value = read_document(match[2] or "null", lambda _line, _column: shown, place)
    origins = {at: origin for at, origin in document.origins.items() if at[: len(place)] != place}
    for length in range(1, len(place)):
        origins.setdefault(place[:length], shown)
    origins |= value.origins
    try:
        return YamlDocument(_replaced(document.values, place, value.values), origins)
    except ValueError as error:
        raise StudyFileError(f"{shown}: {error}") from None


def _replaced(section: object, place: Place, value: object, level: int = 0) -> object:
    """Return a copy of `section` with another value at `place`; add missing sections."""
    if level == len(place):
        return value
    if section is not None and not isinstance(section, dict):
        kind = "a list" if isinstance(section, list) else "a single value"
        outer = dotted(place[:level])
        raise ValueError(f"{outer} must be a mapping of keys, but is {kind}; override it whole")
    inner = dict(section or {})
    key = place[level]
    return inner | {key: _replaced(inner.get(key), place, value, level + 1)}


def _anchored(document: YamlDocument, folder: Path) -> YamlDocument:
    """Return the document with data and teacher paths resolved from the study file's folder."""
    assert isinstance(document.values, dict)
    values: dict[str, object] = dict(document.values)
    teacher = values.get("teacher")
    if "space" in values:
        values["space"] = _space_with_paths(values["space"], folder)
    if "data" in values:
        values["data"] = _with_paths(values["data"], _DATA_PATHS, folder)
    if isinstance(teacher, list):
        values["teacher"] = [_teacher_with_paths(one, folder) for one in teacher]
    elif teacher is not None:
        values["teacher"] = _teacher_with_paths(teacher, folder)
    return YamlDocument(values, document.origins)


def _space_with_paths(space: object, folder: Path) -> object:
    """Return the space with the files of students' weights resolved from the folder."""
    student = space.get("student") if isinstance(space, dict) else None
    timm = student.get("timm") if isinstance(student, dict) else None
    if not (isinstance(space, dict) and isinstance(student, dict) and isinstance(timm, dict)):
        return space
    if "weights" not in timm:
        return space
    given, no_files = timm["weights"], (NO_WEIGHTS, TEACHERS_WEIGHTS)
    listed = given if isinstance(given, list) else [given]
    paths = [
        _beside(folder, one) if isinstance(one, str) and one not in no_files else one
        for one in listed
    ]
    weights = paths if isinstance(given, list) else paths[0]
    return space | {"student": student | {"timm": timm | {"weights": weights}}}


def _teacher_with_paths(section: object, folder: Path) -> object:
    found = _with_paths(section, _TEACHER_PATHS, folder)
    if isinstance(found, dict) and "assistant" in found:
        return found | {"assistant": _teacher_with_paths(found["assistant"], folder)}
    return found


def _with_paths(section: object, keys: Sequence[str], folder: Path) -> object:
    if not isinstance(section, dict):
        return section
    given = {key: section[key] for key in keys if isinstance(section.get(key), str)}
    if "factory" in given:
        if file := _factory_file(folder, given["factory"]):
            given["factory"] = file
        else:
            del given["factory"]  # an installed module
    if given.get("classes") in (NATURAL, SORTED):
        del given["classes"]  # an order, not a file
    return section | {key: _beside(folder, path) for key, path in given.items()}


def _factory_file(folder: Path, factory: str) -> str | None:
    """Return `file.py:function` for a factory in a file; None for one in an installed module.

    `nets:make` is the function in nets.py beside the study file, if that exists. A package that is
    installed is not taken from a folder of its name: its modules may import one another.
    """
    module, _, function = factory.rpartition(":")
    if module.endswith(".py"):
        return factory
    package, dot, _ = module.partition(".")
    if not all(part.isidentifier() for part in module.split(".")) or (dot and find_spec(package)):
        return None
    file = f"{module.replace('.', '/')}.py"
    return f"{file}:{function}" if (folder / file).is_file() else None


def _beside(folder: Path, path: str) -> str:
    try:
        return str(folder / expanded(path))
    except ValueError:
        return str(folder / path) if os.path.lexists(folder / path) else path
