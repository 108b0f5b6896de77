"""Whether an exported student is what it says: whole, the same in every form, as good, as fast."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from search.artifacts.student import load_network, read_provenance
from search.config.yaml_document import read_document
from search.data.dataset import DataInfo, Dataset
from search.errors import ArtifactError, BadInput, DataError, StudyFileError, TargetError
from search.evaluation.intervals import wilson_interval, with_interval
from search.evaluation.predictions_file import PREDICTIONS, read_predictions
from search.export.checks import Check
from search.export.evaluated_model import open_model
from search.export.forms import ExportedFormats, probes
from search.export.images import DEFAULT_CACHE, open_images
from search.export.record import ExportRecord, read_handover
from search.files.reading import read_limited
from search.objectives.counting import count_operations
from search.records import Cost
from search.targets.latency import measure_latency
from search.targets.target import Runtime
from search.units import format_milliseconds
from spaces.processor import processor_name

# A line for each of ten thousand classes takes less.
_MOST_CARD_BYTES = 2**22


def verify(
    folder: Path,
    *,
    data: Path | None = None,
    cache: Path = DEFAULT_CACHE,
    trust: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Looks at an exported student, one thing after the other.

    Args:
        folder: what `retort export` wrote.
        data: see `search.export.images`.
        cache: folder of prepared data.
        trust: load model.pt2 too, whose loader can run code that a file holds.
        progress: told in a line what is going on.

    Raises:
        ArtifactError: the folder is damaged, or of a newer version, or its runtime is not
            installed: nothing else can be said of it.
    """
    told, provenance = read_handover(folder), read_provenance(folder)
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
    yield _weighed(file, told)
    timed, latency_ms = _timed(file, runtime, told)
    yield timed
    yield _afforded(file, told, info, latency_ms)


def _graded(
    folder: Path, told: ExportRecord, dataset: Dataset | None, info: DataInfo, reason: str
) -> Iterator[Check]:
    """The test part again, against the model card and image by image."""
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
    # As the student takes images, whatever these data say of size, mean and deviation.
    threads = told.measured.threads
    student = open_model(str(folder), info, threads=threads, scratch=folder)
    again = student.predict(dataset.test)
    claimed, count = _claimed(folder), len(dataset.test)
    text = f"accuracy {with_interval(again.accuracy, count)} on {count:,} images"
    if not _are_those_of(dataset, folder, info):
        text += "; not the images that it was tested on, so nothing is claimed"
        yield Check(name="test part", holds=None, found=text)
        return
    if claimed is None:
        yield Check(name="test part", holds=None, found=f"{text}; the card claims none")
        return
    low, high = wilson_interval(claimed, count)
    held = low <= again.accuracy <= high
    yield Check(name="test part", holds=held, found=f"{text}; {claimed:.2%} on the card")
    kept = read_predictions(folder / PREDICTIONS).get("test")
    if kept is not None:
        other = len(again.disagreements(kept))
        text = f"{other} of {count:,} images are named otherwise than when it was measured"
        # Another processor may round otherwise: then its accuracy is what counts.
        alike = told.measured.hardware.get("processor") == processor_name()
        yield Check(name="predictions", holds=other == 0 if alike else None, found=text)


def _are_those_of(dataset: Dataset, folder: Path, info: DataInfo) -> bool:
    """Whether these are the images that the student was tested on."""
    if dataset.info.digest == info.digest:
        return True
    # Images without labels, which no student is tested on, may have been left behind.
    kept = read_predictions(folder / PREDICTIONS).get("test")
    left_behind = info.unlabelled and not dataset.info.unlabelled
    return bool(left_behind and kept and np.array_equal(kept.labels, dataset.test.labels))


def _claimed(folder: Path) -> float | None:
    """The accuracy in the model card's head."""
    path = folder / "README.md"
    try:
        text = read_limited(path, _MOST_CARD_BYTES).decode().split("---\n")[1]
        head: Any = read_document(text, lambda line, column: f"{path}:{line + 1}:{column}").values
        results = head["model-index"][0]["results"][0]["metrics"]
        value = next(float(each["value"]) for each in results if each["type"] == "accuracy")
        if not 0 <= value <= 1:
            raise ValueError(f"an accuracy is from 0 to 1, but is {value}")
        return value
    except KeyError:
        return None
    except (OSError, ValueError, LookupError, TypeError, StopIteration, StudyFileError) as error:
        raise ArtifactError(f"the head of {path} can't be read: {error}") from error


def _weighed(file: Path, told: ExportRecord) -> Check:
    size, said = file.stat().st_size, told.measured.cost.size_bytes
    was = "as when it was measured" if size == said else f"but {said:,} when it was measured"
    return Check(name="bytes", holds=size == said, found=f"{size:,}, {was}")


def _timed(file: Path, runtime: Runtime, told: ExportRecord) -> tuple[Check, float | None]:
    """Its latency here, which no claim is made of; None where this machine can't serve it so."""
    threads, device = told.measured.threads, told.measured.device
    try:
        served = runtime.load(file, threads=threads, device=device)
    except (ArtifactError, TargetError) as error:
        return Check(name="latency", holds=None, found=f"not measured: {error}"), None
    (latency,) = measure_latency([served])
    text = f"{format_milliseconds(latency.median_ms)} here, {threads} thread(s)"
    if (said := told.measured.cost.latency_ms) is not None:
        where = told.measured.hardware.get("processor", "another machine")
        text += f"; {format_milliseconds(said)} when it was measured, on {where}"
    return Check(name="latency", holds=None, found=text), latency.median_ms


def _afforded(file: Path, told: ExportRecord, info: DataInfo, latency_ms: float | None) -> Check:
    """Whether the study's budget holds here."""
    budget = told.budget
    shape = (info.channels, info.image_size, info.image_size)
    parameters, macs = count_operations(load_network(file.parent), shape)
    cost = Cost(
        size_bytes=file.stat().st_size,
        parameters=parameters,
        macs=macs,
        latency_ms=latency_ms,
        latency_p95_ms=None,
    )
    if not budget.limits():
        return Check(name="budget", holds=None, found="the study had none")
    if not budget.admits(cost):
        return Check(
            name="budget", holds=False, found=f"does not hold here: {budget.explain(cost)}"
        )
    if budget.latency is not None and latency_ms is None:
        return Check(name="budget", holds=None, found=f"{budget}: latency is not known here")
    return Check(name="budget", holds=True, found=f"{budget}: holds here")
