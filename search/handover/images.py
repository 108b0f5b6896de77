"""The images that a student is measured on again: those of its own study, or a person's."""

from collections.abc import Callable
from pathlib import Path

from search.data.dataset import Dataset, Part
from search.data.prepare import prepare
from search.depot import Depot
from search.errors import BadInput
from search.handover.record import HandedOver
from search.settings.config import DataSettings, RunSettings
from search.settings.study_file import load_study

DEFAULT_CACHE = Path(RunSettings.model_fields["cache"].default)


def open_images(
    given: Path | None,
    told: HandedOver | None,
    *,
    cache: Path = DEFAULT_CACHE,
    progress: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """The data set to measure on.

    Args:
        given: a study file, whose data are meant; or where the student's own data are now; None
            takes these from where they were.
        told: of the student, where there is one.
        cache: folder of prepared data.
        progress: told in a line what is going on.

    Raises:
        BadInput: nothing says which images.
        DataError: they can't be used.
    """
    settings, seed = _settings(given, told)
    return prepare(settings, seed=seed, cache=Depot.of(cache), progress=progress)


def part_of(dataset: Dataset, name: str) -> Part:
    """Its part of that name."""
    part: Part = getattr(dataset, name)
    return part


def _settings(given: Path | None, told: HandedOver | None) -> tuple[DataSettings, int]:
    if given is not None and given.suffix in (".yaml", ".yml"):
        study = load_study(given)
        return study.data, study.seed
    if told is None or told.data is None:
        raise BadInput("nothing says which images are meant: pass --data with a study file")
    data = told.data
    if data.unlabelled and not data.unlabelled.expanduser().is_dir():
        data = data.model_copy(update={"unlabelled": None})  # no student is tested on them
    if given is None:
        return data, told.seed
    if data.source == "digits":
        raise BadInput(
            f"--data must name a study file, as the student's own images come with scikit-learn, "
            f"but got {given}"
        )
    return data.model_copy(update={"path": given.expanduser().absolute()}), told.seed
