"""The images on which a student is measured again: its study's images, or other ones."""

import os
from collections.abc import Callable
from pathlib import Path

from search.config.data_settings import DataSettings
from search.config.fields import GROUP_WAYS
from search.config.loader import load_study
from search.config.study import RunSettings
from search.data.dataset import Dataset, Part
from search.data.notes import notes
from search.data.prepare import prepare
from search.errors import BadInput
from search.export.record import ExportRecord
from search.files.filestore import FolderStore

_RESOURCES = ("in_memory", "shards", "shard_side", "workers")
DEFAULT_CACHE = Path(RunSettings.model_fields["cache"].default)
RECORDED = Path("recorded")
"""The value of `--data` that means: the data that the student's own folder names."""


def open_images(
    given: Path | None,
    record: ExportRecord | None,
    *,
    cache: Path = DEFAULT_CACHE,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Open the data set to measure on.

    An exported folder can come from anyone, and it names paths and data sets. retort opens these
    only if the person allows it.

    Args:
        given: one of: a study file, whose data are used; the present path of the student's own
            data; `RECORDED`, which opens the data that the student's folder names. With None, only
            data that come with a library are opened.
        record: the student's record, if there is one.
        cache: the folder of prepared data.
        progress: called with a line of text about the current step.

    Raises:
        BadInput: no images are named.
        DataError: the images can't be used.
    """
    settings, seed = _settings(given, record)
    dataset = prepare(settings, seed=seed, cache=FolderStore.of(cache), progress=progress)
    for line in notes(dataset.info):
        progress(line)
    return dataset


def part_of(dataset: Dataset, name: str) -> Part:
    """Return the data set's part of that name."""
    part: Part = getattr(dataset, name)
    return part


def _settings(given: Path | None, record: ExportRecord | None) -> tuple[DataSettings, int]:
    if given is not None and given.suffix in (".yaml", ".yml"):
        study = load_study(given)
        return study.data, study.seed
    if record is None or record.data is None:
        raise BadInput(
            "the images must be named, but no --data is given: pass --data with a study file"
        )
    if given == RECORDED:
        return _recorded(record.data), record.seed
    return _moved(given, record.data), record.seed


def _moved(given: Path | None, data: DataSettings) -> DataSettings:
    """Return the settings in a student's folder, for the present path of its data.

    Raises:
        BadInput: more of the folder must be trusted than its author may ask for.
    """
    # The folder must not choose paths, or the use of memory, disk and processes. Unlabelled images
    # are never tested on.
    safe = {
        "unlabelled": None,
        "follow_links": False,
        **{key: DataSettings.model_fields[key].default for key in _RESOURCES},
    }
    if data.source == "digits":
        if given is not None:
            raise BadInput(
                f"--data must be a study file, since the student's own images come with "
                f"scikit-learn, but got {given}"
            )
        return data.model_copy(update={**safe, "path": None})
    if given is None:
        raise BadInput(
            "the data that a student's folder names are opened only on request: pass --data with a "
            f"study file or with the path of its images, or `--data {RECORDED}` to open "
            f"{_named(data)}"
        )
    if data.source == "timm":
        raise BadInput(
            f"--data must be a study file or {RECORDED}, since the student's own images are "
            f"{_named(data)}, but got {given}"
        )
    if data.groups not in (None, *GROUP_WAYS):  # some regular expressions take years
        raise BadInput(
            f"--data must be a study file or {RECORDED}, since the student's folder groups its "
            f"images by a regular expression, {data.groups!r}, but got {given}"
        )
    path = given.expanduser().absolute()
    return data.model_copy(update={**safe, "path": path, "images": _moved_images(path, data)})


def _moved_images(table: Path, data: DataSettings) -> Path | None:
    """Return the folder of a moved table's images, which is below the table's own folder.

    Raises:
        BadInput: it was elsewhere, and the student's folder must not choose a path.
    """
    if data.images is None or data.path is None:
        return None
    below = os.path.relpath(data.images, data.path.parent)
    if os.pardir in Path(below).parts:
        raise BadInput(
            f"--data must be a study file or {RECORDED}, since the images of the student's table "
            f"are not below its folder but in {str(data.images)!r}, but got {table}"
        )
    return table.parent / below


def _recorded(data: DataSettings) -> DataSettings:
    if data.unlabelled and not data.unlabelled.expanduser().is_dir():
        return data.model_copy(update={"unlabelled": None})  # students are never tested on them
    return data


def _named(data: DataSettings) -> str:
    """Describe the data that would be opened, so that the person can decide."""
    places = [data.name, data.path, data.images, data.unlabelled]
    return f"{data.source} from {', '.join(repr(str(place)) for place in places if place)}"
