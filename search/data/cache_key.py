"""The name of a prepared data set in the cache. It changes when a file of the data changes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from search.config.data_settings import DataSettings
from search.data.image_kinds import SUFFIXES
from search.data.prepared import FORMAT
from search.data.sources.registry import NAMED_FILES


def cache_key(settings: DataSettings, seed: int, *, versions: Mapping[str, int]) -> str:
    """Return the name of the data set for these settings and files, without reading the files.

    The name depends on the name, size and time of change of every file, and on the kinds of images
    that can be read here. It does not depend on the augmentation, since that changes no file. Of a
    table, only the rows are read.

    Args:
        settings: the `data` section of a study file.
        seed: the seed of the split into parts.
        versions: the versions of the stages that prepare data, by name.

    Raises:
        OSError: a folder can't be listed.
        DataError: a table can't be read.
    """
    key = hashlib.sha256()
    typed = settings.model_dump(mode="json", exclude={"augment", "workers"})
    key.update(json.dumps([FORMAT, versions, seed, typed, sorted(SUFFIXES)]).encode())
    if isinstance(settings.class_names, str):
        key.update(_all_stamps(Path(settings.class_names), settings))
    if settings.source in NAMED_FILES:
        key.update(_text(sorted(map(_stamp, NAMED_FILES[settings.source](settings)))))
    # The Hugging Face library changes files in its folder whenever it reads the data.
    elif settings.path is not None and not (settings.name or "").lower().startswith("hfds/"):
        key.update(_all_stamps(settings.path, settings))
    if settings.unlabelled is not None:
        key.update(_all_stamps(settings.unlabelled, settings))
    return f"{settings.source}-{key.hexdigest()[:24]}"


def _all_stamps(path: Path, settings: DataSettings) -> bytes:
    path = path.expanduser().absolute()
    return _text(sorted(_stamps(path, follow_links=settings.follow_links)))


def _text(lines: Iterable[str]) -> bytes:
    return b"".join(map(os.fsencode, lines))


def _stamps(path: Path, *, follow_links: bool) -> Iterator[str]:
    """Yield name, size and time of change of a file, or of every file below a folder."""
    folders = [str(path)] if path.is_dir() else []
    visited: set[Path] = set()  # links may lead in a circle
    if path.is_file():
        yield _stamp(str(path))
    while folders:
        folder = folders.pop()
        if follow_links:
            if (real := Path(folder).resolve()) in visited:
                continue
            visited.add(real)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=follow_links):
                    folders.append(entry.path)
                yield _stamp(entry.path)


def _stamp(name: str) -> str:
    """Return name, size and time of change; only the name if there is no such file."""
    try:
        status = os.stat(name)  # noqa: PTH116  faster, for each of many files; of a link's target
    except (OSError, ValueError):
        if not os.path.lexists(name):
            return f"{name}\0missing\n"
        status = Path(name).lstat()
    return f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
