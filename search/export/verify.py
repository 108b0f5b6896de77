"""Verification of an exported student: whole, the same in every form, as good, as fast."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from search.config.yaml_document import read_document
from search.data.dataset import DataInfo, Dataset
from search.errors import ArtifactError, BadInput, DataError, StudyFileError, TargetError
from search.evaluation.artifact import load_network, read_provenance
from search.evaluation.measure import quality
from search.evaluation.predictions_file import PREDICTIONS, read_predictions
from search.export.checks import Check
from search.export.evaluated_model import open_model
from search.export.exporting import TEACHER_PREDICTIONS
from search.export.forms import ExportedFormats, probes
from search.export.images import DEFAULT_CACHE, open_images
from search.export.record import CARD_DIGITS, ExportRecord, read_export_record
from search.files.reading import read_limited
from search.objectives.budget import Budget
from search.objectives.counting import count_cost
from search.objectives.intervals import interval_text
from search.objectives.limits import LATENCY, limits
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.records import Cost
from search.targets.latency import measure_latency
from search.targets.target import Runtime
from search.targets.timing import timed_cost
from spaces.processor import processor_name

# Ten thousand classes, a line each, take less.
_MOST_CARD_BYTES = 2**22


def verify(
    folder: Path,
    *,
    data: Path | None = None,
    cache: Path = DEFAULT_CACHE,
    trust: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Check an exported student, one property after the other.

    Args:
        folder: an export by `retort export`.
        data: see `search.export.images`.
        cache: folder of prepared data.
        trust: load model.pt2 too, whose loader can run code that a file holds.
        progress: is called with a line about what is going on.

    Raises:
        ArtifactError: the folder is damaged, or of a newer version, or its runtime is not
            installed: no further check is possible.
    """
    told, provenance = read_export_record(folder), read_provenance(folder)
    info, runtime = provenance.data, provenance.served_by
    yield Check(name="checksums", holds=True, found="every file is as it was written")
    try:
        dataset = open_images(data, told, cache=cache, progress=progress)
        reason = ""
    except (BadInput, DataError) as error:
        dataset, reason = None, str(error)
    images = probes(dataset, info)
    yield from ExportedFormats(folder, info, images, trust=trust).checks()
    yield from _graded(folder, told, dataset, info, reason)
    file = folder / runtime.file
    shape = (info.channels, info.image_size, info.image_size)
    counted = count_cost(load_network(folder), file, shape)
    yield from _counted(told, counted)
    check, timed = _timed(file, runtime, told)
    yield check
    yield _afforded(told.budget, {**counted, **timed})


def _graded(
    folder: Path, told: ExportRecord, dataset: Dataset | None, info: DataInfo, reason: str
) -> Iterator[Check]:
    """Check the test part again, against the model card and image by image."""
    if dataset is None:
        yield Check(name="test part", holds=None, found=f"not measured: {reason}")
        return
    if not len(dataset.test):
        yield Check(name="test part", holds=None, found="not measured: these data have none")
        return
    if dataset.info.classes != info.classes or dataset.info.channels != info.channels:
        found = "not measured: these data have other classes or channels than the student's"
        yield Check(name="test part", holds=False, found=found)
        return
    # Prepared as the student's images, whatever these data say of size, mean and deviation.
    threads = told.measured.threads
    student = open_model(str(folder), info, threads=threads, scratch=folder)
    again = student.predict(dataset.test)
    is_its_own = _are_those_of(dataset, folder, info)
    yield _compared(folder, told, again, is_its_own=is_its_own)
    kept = read_predictions(folder / PREDICTIONS).get("test")
    if is_its_own and kept is not None:
        other = len(again.disagreements(kept))
        text = f"{other} of {len(dataset.test):,} images are named otherwise than when measured"
        # Another processor may round differently: then only the metric counts.
        alike = told.measured.hardware.get("processor") == processor_name()
        yield Check(name="predictions", holds=other == 0 if alike else None, found=text)


def _compared(folder: Path, told: ExportRecord, again: Predictions, *, is_its_own: bool) -> Check:
    """Check that the metric of the study's goal lies within the interval of the card's value.

    Args:
        folder: the export.
        told: the record in its recipe.json.
        again: its predictions here.
        is_its_own: whether these are the images on which the card's value was measured.
    """
    metric, count = told.goal.metric, len(again.labels)
    taught = _taught(folder) if metric.uses_teacher and is_its_own else None
    found = quality(again, teacher=None if taught is None else taught.classes).get(metric.name)
    if found is None:
        text = f"{metric.label} is not known here: it compares with the teacher's predictions"
        return Check(name="test part", holds=None, found=text)
    text = f"{metric.label} {interval_text(metric, found, count)} on {count:,} images"
    if not is_its_own:
        text += "; not the images that it was tested on, so nothing is claimed"
        return Check(name="test part", holds=None, found=text)
    claimed = _claimed(folder, metric)
    if claimed is None:
        return Check(name="test part", holds=None, found=f"{text}; the card claims none")
    said = told.measured.test.get(metric.name)
    interval = metric.confidence(claimed, said.error if said else None, count)
    own = round(found.value, CARD_DIGITS)
    holds = None if interval is None else interval[0] <= own <= interval[1]
    text += f"; {metric.format(claimed)} on the card"
    return Check(name="test part", holds=holds, found=text)


def _taught(folder: Path) -> Predictions | None:
    """Return the teacher's predictions for the test images; None where they were not kept."""
    path = folder / TEACHER_PREDICTIONS
    return read_predictions(path).get("test") if path.is_file() else None


def _are_those_of(dataset: Dataset, folder: Path, info: DataInfo) -> bool:
    """Return whether these are the images that the student was tested on."""
    if dataset.info.digest == info.digest:
        return True
    # Images without labels, on which no student is tested, may have been left behind.
    kept = read_predictions(folder / PREDICTIONS).get("test")
    left_behind = info.unlabelled and not dataset.info.unlabelled
    return bool(left_behind and kept and np.array_equal(kept.labels, dataset.test.labels))


def _claimed(folder: Path, metric: Metric) -> float | None:
    """Return the metric's value in the model card's head; None where it has none."""
    path = folder / "README.md"
    try:
        text = read_limited(path, _MOST_CARD_BYTES).decode().split("---\n")[1]
        head: Any = read_document(text, lambda line, column: f"{path}:{line + 1}:{column}").values
        results = head["model-index"][0]["results"][0]["metrics"]
        said = [float(each["value"]) for each in results if each["type"] == metric.name]
        if not said:
            return None
        if not metric.can_be(value := said[0]):
            raise ValueError(f"{metric.name} must not be beyond {metric.best:g}, but is {value}")
        return value
    except KeyError:
        return None
    except (OSError, ValueError, LookupError, TypeError, StudyFileError) as error:
        raise ArtifactError(f"the head of {path} can't be read: {error}") from error


def _counted(told: ExportRecord, cost: Cost) -> Iterator[Check]:
    """Check that each counted cost equals its recorded value."""
    for limit in limits().values():
        if limit.cost not in cost or limit.cost not in told.measured.cost:
            continue
        own, said = cost[limit.cost], told.measured.cost[limit.cost]
        was = "as when" if own == said else f"but {said:,.12g} when"
        found = f"{own:,.12g}, {was} it was measured"
        yield Check(name=limit.label, holds=own == said, found=found)


def _timed(file: Path, runtime: Runtime, told: ExportRecord) -> tuple[Check, Cost]:
    """Time it here, without a claim to check; no cost where this machine can't serve it so."""
    threads, device = told.measured.threads, told.measured.device
    name = LATENCY.label
    try:
        served = runtime.load(file, threads=threads, device=device)
    except (ArtifactError, TargetError) as error:
        return Check(name=name, holds=None, found=f"not measured: {error}"), {}
    (latency,) = measure_latency([served])
    cost = timed_cost(latency)
    text = f"{LATENCY.format(cost[LATENCY.cost])} here, {threads} thread(s)"
    if (said := told.measured.cost.get(LATENCY.cost)) is not None:
        where = told.measured.hardware.get("processor", "another machine")
        text += f"; {LATENCY.format(said)} when it was measured, on {where}"
    return Check(name=name, holds=None, found=text), cost


def _afforded(budget: Budget, cost: Cost) -> Check:
    """Check that the study's budget holds here."""
    if not budget.limits():
        return Check(name="budget", holds=None, found="the study had none")
    if not budget.admits(cost):
        return Check(
            name="budget", holds=False, found=f"does not hold here: {budget.explain(cost)}"
        )
    if budget.is_uncertain(cost):
        return Check(name="budget", holds=None, found=f"{budget}: not all of it is known here")
    return Check(name="budget", holds=True, found=f"{budget}: holds here")
