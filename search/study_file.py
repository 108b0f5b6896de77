"""Study files and overrides of them, to a typed Study; and a Study to what the store keeps."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from search.complaints import complain, mask_urls
from search.config import Study
from search.database.address import safe_url
from search.document import Document, Place, dotted, read_document
from search.errors import StudyFileError

_MOST_BYTES = 10**6
_OVERRIDE = re.compile(r"([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)=(.*)", re.DOTALL)

# Paths that a study file gives relative to its own folder.
_DATA_PATHS = (("data", "path"),)
_TEACHER_PATHS = ("checkpoint", "exported")


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study that a file describes.

    Relative paths of data and teacher are taken from the file's folder, those in an override from
    the current one.

    Args:
        path: a YAML file of at most 1 MB.
        overrides: `a.b=c`, where `c` is YAML; the last one of a place holds.

    Raises:
        StudyFileError: the file can't be read, or it or an override is not what a study may say;
            a line for each thing that is wrong.
    """
    text = _read(path)
    document = read_document(text, lambda line, column: f"{path}:{line}:{column}")
    if not isinstance(document.values, dict):
        raise StudyFileError(
            f"{path}:1:1: a study must be a mapping of keys to values, such as 'study: digits', "
            f"but this is a {'list' if isinstance(document.values, list) else 'single value'}"
        )
    document = _anchored(document, path.parent)
    for override in overrides:
        document = _overridden(document, override)
    return _validated(document)


def dump_study(study: Study) -> dict[str, object]:
    """The study in JSON's types, every default written out, the storage's secrets masked."""
    values: dict[str, object] = study.model_dump(mode="json")
    run = study.run.model_dump(mode="json")
    return values | {"run": run | {"storage": safe_url(study.run.storage)}}


def study_from_dict(values: Mapping[str, object]) -> Study:
    """The study that `dump_study` wrote; where secrets were masked, they stay so.

    Raises:
        StudyFileError: it is no study that this version understands.
    """
    return _validated(Document(dict(values), {(): "stored study"}))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise StudyFileError(
            f"{path}: must be a readable study file, but is not ({error.strerror}); "
            "`retort init` writes one to start from"
        ) from error
    if len(content) > _MOST_BYTES:
        raise StudyFileError(f"{path}: a study file must be at most 1 MB, but this one is larger")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyFileError(
            f"{path}: a study file must be UTF-8 text, but byte {error.start + 1} is not"
        ) from None


def _validated(document: Document) -> Study:
    try:
        return Study.model_validate(document.values)
    except ValidationError as error:
        # Not chained: pydantic's words repeat the values, and with them the secrets.
        raise complain(error, document) from None


def _overridden(document: Document, override: str) -> Document:
    shown = f"override {mask_urls(override)}"
    match = _OVERRIDE.fullmatch(override)
    if match is None:
        raise StudyFileError(
            f"{shown}: an override must be written key=value, such as search.trials=50"
        )
    place: Place = tuple(match[1].split("."))
    value = read_document(match[2] or "null", lambda _line, _column: shown)
    origins = {at: origin for at, origin in document.origins.items() if at[: len(place)] != place}
    for length in range(1, len(place)):
        origins.setdefault(place[:length], shown)
    origins |= {(*place, *at): origin for at, origin in value.origins.items()}
    return Document(_replaced(document.values, place, value.values, shown), origins)


def _replaced(section: object, place: Place, value: object, shown: str) -> dict[str, object]:
    """A copy of `section` with another value at `place`; sections that lack are put in."""
    if section is not None and not isinstance(section, dict):
        kind = "a list" if isinstance(section, list) else "a single value"
        raise StudyFileError(
            f"{shown}: {place[0]} must be inside a mapping of keys, but it would be inside {kind}; "
            "override that as a whole"
        )
    key, *rest = place
    inner = dict(section or {})
    inner[str(key)] = _replaced(inner.get(str(key)), tuple(rest), value, shown) if rest else value
    return inner


def _anchored(document: Document, folder: Path) -> Document:
    """The document with the paths of data and teacher made absolute."""
    assert isinstance(document.values, dict)
    values = dict(document.values)
    for section, key in _DATA_PATHS:
        values[section] = _with_path(values.get(section), key, folder)
    return Document(values, document.origins)
