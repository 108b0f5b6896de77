"""Verification of an exported student: its files, all its formats, its quality, its costs."""

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
from search.export.format_checks import ExportedFormats, probes
from search.export.images import DEFAULT_CACHE, open_images
from search.export.preprocess_file import preprocess_check
from search.export.record import CARD_DIGITS, ExportRecord, read_export_record
from search.files.reading import read_limited
from search.objectives.budget import Budget, doubt_text
from search.objectives.counting import count_cost
from search.objectives.intervals import interval_text
from search.objectives.limits import LATENCY, limits
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.pipeline.floor_classes import floor_labels
from search.records import Cost
from search.targets.latency import measure_latency
from search.targets.target import Runtime
from search.targets.timing import timed_cost
from spaces.processor import processor_name

# Enough for ten thousand classes with a line each.
_MOST_CARD_BYTES = 2**22


def verify(
    folder: Path,
    *,
    data: Path | None = None,
    cache: Path = DEFAULT_CACHE,
    trust: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Yield the result of each check of an exported student.

    Args:
        folder: a folder that `retort export` wrote.
        data: the images; see `given` of `search.export.images.open_images`.
        cache: the folder of prepared data.
        trust: load model.pt2 too, and run a preprocess.py that is not this retort's own, although
            both can run code of the folder's author.
        progress: called with a line of text about the current step.

    Raises:
        ArtifactError: the folder is damaged, a newer retort wrote it, or its runtime is not
            installed. No further check is possible then.
    """
    record, provenance = read_export_record(folder), read_provenance(folder)
    info, runtime = provenance.data, provenance.served_by
    yield Check(name="checksums", holds=True, found="every file has its recorded checksum")
    try:
        dataset = open_images(data, record, cache=cache, progress=progress)
        reason = ""
    except (BadInput, DataError) as error:
        dataset, reason = None, str(error)
    images = probes(dataset, info)
    yield from ExportedFormats(folder, info, images, trust=trust).checks()
    yield preprocess_check(folder, info, trust=trust)
    yield from _quality_checks(folder, record, dataset, info, reason)
    file = folder / runtime.file
    shape = (info.channels, info.image_size, info.image_size)
    counted = count_cost(load_network(folder), file, shape)
    yield from _counted(record, counted)
    check, timed = _timed(file, runtime, record)
    yield check
    yield _budget_check(record.budget, {**counted, **timed})
    if record.budget.floors():
        yield _floor_check(record)


def _quality_checks(
    folder: Path, record: ExportRecord, dataset: Dataset | None, info: DataInfo, reason: str
) -> Iterator[Check]:
    """Measure on the test part again; compare with the model card and with each prediction."""
    if dataset is None:
        yield Check(name="test part", holds=None, found=f"not measured: {reason}")
        return
    if not len(dataset.test):
        yield Check(
            name="test part", holds=None, found="not measured: these data have no test part"
        )
        return
    if dataset.info.class_ids != info.class_ids or dataset.info.channels != info.channels:
        found = "not measured: these data and the student's differ in classes or channels"
        yield Check(name="test part", holds=False, found=found)
        return
    # Use the student's own size, mean and deviation, not those of these data.
    threads = record.measured.threads
    student = open_model(str(folder), info, threads=threads, scratch=folder)
    predicted = student.predict(dataset.test)
    is_its_own = _are_those_of(dataset, folder, info)
    yield _compared(folder, record, predicted, is_its_own=is_its_own)
    yield from _tested_floors(record, predicted, info)
    recorded = read_predictions(folder / PREDICTIONS).get("test")
    if is_its_own and recorded is not None:
        changed = len(predicted.disagreements(recorded))
        text = (
            f"{changed} of {len(dataset.test):,} images get another class than at the measurement"
        )
        # Another processor may round differently. Then only the metric is checked.
        same_processor = record.measured.hardware.get("processor") == processor_name()
        yield Check(name="predictions", holds=changed == 0 if same_processor else None, found=text)


def _tested_floors(record: ExportRecord, predicted: Predictions, info: DataInfo) -> Iterator[Check]:
    """Measure the values with floors on the test images; nothing is checked, as in the search."""
    budget = record.budget
    found = quality(predicted, teacher=None, classes=floor_labels(budget, info))
    measured = [
        f"{floor.label} {floor.text(found)} ({floor.side} {floor.metric.format(floor.bound)})"
        for floor in budget.floors()
        if floor.name in found
    ]
    if measured:
        yield Check(name="floors, test part", holds=None, found=f"{', '.join(measured)} here")


def _compared(
    folder: Path, record: ExportRecord, predicted: Predictions, *, is_its_own: bool
) -> Check:
    """Check that the metric of the study's goal lies within the interval of the card's value.

    Args:
        folder: the export.
        record: the record in its recipe.json.
        predicted: its predictions on this machine.
        is_its_own: whether the card's value was measured on these images.
    """
    metric, count = record.goal.metric, len(predicted.labels)
    teacher = _teacher_predictions(folder) if metric.uses_teacher and is_its_own else None
    found = quality(predicted, teacher=None if teacher is None else teacher.classes).get(
        metric.name
    )
    if found is None:
        text = (
            f"{metric.label} is not known here: it needs the teacher's predictions for these images"
        )
        return Check(name="test part", holds=None, found=text)
    text = f"{metric.label} {interval_text(metric, found, count)} on {count:,} images"
    if not is_its_own:
        text += "; these are not the images of the card, so nothing is compared"
        return Check(name="test part", holds=None, found=text)
    claimed = _claimed(folder, metric)
    if claimed is None:
        return Check(name="test part", holds=None, found=f"{text}; the card states none")
    recorded = record.measured.test.get(metric.name)
    interval = metric.confidence(claimed, recorded.error if recorded else None, count)
    own = round(found.value, CARD_DIGITS)
    holds = None if interval is None else interval[0] <= own <= interval[1]
    text += f"; {metric.format(claimed)} on the card"
    return Check(name="test part", holds=holds, found=text)


def _teacher_predictions(folder: Path) -> Predictions | None:
    """Return the teacher's predictions for the test images; None if none are stored."""
    path = folder / TEACHER_PREDICTIONS
    return read_predictions(path).get("test") if path.is_file() else None


def _are_those_of(dataset: Dataset, folder: Path, info: DataInfo) -> bool:
    """Return whether these are the images that the student was tested on."""
    if dataset.info.digest == info.digest:
        return True
    # The data may have been copied without the unlabelled images, which are never tested on.
    recorded = read_predictions(folder / PREDICTIONS).get("test")
    lacks_unlabelled = info.unlabelled and not dataset.info.unlabelled
    return bool(
        lacks_unlabelled and recorded and np.array_equal(recorded.labels, dataset.test.labels)
    )


def _claimed(folder: Path, metric: Metric) -> float | None:
    """Return the metric's value in the model card's metadata; None if it is missing."""
    path = folder / "README.md"
    try:
        text = read_limited(path, _MOST_CARD_BYTES).decode().split("---\n")[1]
        head: Any = read_document(text, lambda line, column: f"{path}:{line + 1}:{column}").values
        results = head["model-index"][0]["results"][0]["metrics"]
        stated = [float(each["value"]) for each in results if each["type"] == metric.name]
        if not stated:
            return None
        if not metric.can_be(value := stated[0]):
            raise ValueError(
                f"{metric.name} must not be better than {metric.best:g}, but is {value}"
            )
        return value
    except KeyError:
        return None
    except (OSError, ValueError, LookupError, TypeError, StudyFileError) as error:
        raise ArtifactError(f"the metadata of {path} can't be read: {error}") from error


def _counted(record: ExportRecord, cost: Cost) -> Iterator[Check]:
    """Check that each counted cost equals its recorded value."""
    for limit in limits().values():
        if limit.cost not in cost or limit.cost not in record.measured.cost:
            continue
        own, recorded = cost[limit.cost], record.measured.cost[limit.cost]
        found = f"{own:,.12g}, as recorded"
        if own != recorded:
            found = f"{own:,.12g}, but {recorded:,.12g} is recorded"
        yield Check(name=limit.label, holds=own == recorded, found=found)


def _timed(file: Path, runtime: Runtime, record: ExportRecord) -> tuple[Check, Cost]:
    """Time it on this machine, and check nothing; no cost if this machine can't serve it."""
    threads, device = record.measured.threads, record.measured.device
    name = LATENCY.label
    try:
        served = runtime.load(file, threads=threads, device=device)
    except (ArtifactError, TargetError) as error:
        return Check(name=name, holds=None, found=f"not measured: {error}"), {}
    (latency,) = measure_latency([served])
    cost = timed_cost(latency)
    text = f"{LATENCY.text(cost)} here, {threads} thread(s)"
    recorded = record.measured.cost
    if LATENCY.cost in recorded:
        processor = record.measured.hardware.get("processor", "another machine")
        text += f"; {LATENCY.text(recorded)} is recorded, on {processor}"
    if doubt := doubt_text(cost, recorded):
        text += f" ({doubt})"
    return Check(name=name, holds=None, found=text), cost


def _floor_check(record: ExportRecord) -> Check:
    """Check that the recorded quality on validation images meets the floors of the budget.

    A refit has no such quality; the search chose it by the trial that it repeats.
    """
    name, budget, quality = "floors", record.budget.floors(), record.measured.quality
    if broken := record.budget.explain({}, quality):
        return Check(name=name, holds=False, found=f"broken on validation images: {broken}")
    if any(floor.name not in quality for floor in budget):
        found = f"{', '.join(map(str, budget))}: not measured on validation images"
        return Check(name=name, holds=None, found=found)
    met = [f"{floor.label} {floor.text(quality)}" for floor in budget]
    return Check(name=name, holds=True, found=f"met on validation images: {', '.join(met)}")


def _budget_check(whole: Budget, cost: Cost) -> Check:
    """Check that the student's costs keep the limits of the study's budget on this machine."""
    budget = whole.before_training
    if not budget.limits():
        return Check(name="budget", holds=None, found="the study had none")
    if not budget.admits(cost):
        return Check(
            name="budget", holds=False, found=f"does not hold here: {budget.explain(cost)}"
        )
    if budget.is_uncertain(cost):
        return Check(
            name="budget", holds=None, found=f"{budget}: not all of its costs are known here"
        )
    return Check(name="budget", holds=True, found=f"{budget}: holds here")
