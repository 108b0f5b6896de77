"""The images on which a student is measured again: those of its own study, or a person's."""

from collections.abc import Callable
from pathlib import Path

from search.config.loader import load_study
from search.config.study import DataSettings, RunSettings
from search.data.dataset import Dataset, Part
from search.data.prepare import prepare
from search.errors import BadInput
from search.export.record import ExportRecord
from search.files.filestore import FolderStore

DEFAULT_CACHE = Path(RunSettings.model_fields["cache"].default)
RECORDED = Path("recorded")
"""In place of data: those that the student's own folder names."""


def open_images(
    given: Path | None,
    told: ExportRecord | None,
    *,
    cache: Path = DEFAULT_CACHE,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Open the data set to measure on.

    An exported folder may be anybody's, and names paths and data sets: nothing of these is opened
    unless the person allows it.

    Args:
        given: a study file, whose data are used; or where the student's own data are now; or
            `RECORDED`, which takes them from where its folder says. With None, only data that
            come with a library are opened.
        told: the student's record, where there is one.
        cache: folder of prepared data.
        progress: is called with a line about what is going on.

    Raises:
        BadInput: no images are named.
        DataError: they can't be used.
    """
    settings, seed = _settings(given, told)
    return prepare(settings, seed=seed, cache=FolderStore.of(cache), progress=progress)


def part_of(dataset: Dataset, name: str) -> Part:
    """Return the data set's part of that name."""
    part: Part = getattr(dataset, name)
    return part


def _settings(given: Path | None, told: ExportRecord | None) -> tuple[DataSettings, int]:
    if given is not None and given.suffix in (".yaml", ".yml"):
        study = load_study(given)
        return study.data, study.seed
    if told is None or told.data is None:
        raise BadInput("nothing says which images are meant: pass --data with a study file")
    if given == RECORDED:
        return _recorded(told.data), told.seed
    # The folder chooses no path and no size; no student is tested on unlabelled images.
    safe = {"unlabelled": None, "in_memory": DataSettings.model_fields["in_memory"].default}
    if told.data.source == "digits":
        if given is not None:
            raise BadInput(
                f"--data must name a study file, as the student's own images come with "
                f"scikit-learn, but got {given}"
            )
        return told.data.model_copy(update={**safe, "path": None}), told.seed
    if given is None:
        raise BadInput(
            "what a student's folder names is not opened unasked: pass --data with a study file or "
            f"with where its images are now, or `--data {RECORDED}` to open {_named(told.data)}"
        )
    if told.data.source == "timm":
        raise BadInput(
            f"--data must name a study file, or be {RECORDED}, as the student's own images are "
            f"{_named(told.data)} by name, but got {given}"
        )
    return told.data.model_copy(update={**safe, "path": given.expanduser().absolute()}), told.seed


def _recorded(data: DataSettings) -> DataSettings:
    if data.unlabelled and not data.unlabelled.expanduser().is_dir():
        return data.model_copy(update={"unlabelled": None})  # no student is tested on them
    return data


def _named(data: DataSettings) -> str:
    """Return the data that would be opened, for the person to judge."""
    places = [data.name, data.path, data.unlabelled]
    return f"{data.source} from {', '.join(repr(str(place)) for place in places if place)}"
