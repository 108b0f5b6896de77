"""Students, teachers and foreign models side by side, on the same images and the same machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.artifacts.student import RECIPE, read_provenance
from search.data.dataset import Dataset
from search.errors import BadInput
from search.evaluation.intervals import wilson_interval
from search.evaluation.predictions_file import read_predictions
from search.export.evaluated_model import EvaluatedModel, open_model
from search.export.exporting import TEACHER_PREDICTIONS
from search.export.images import part_of
from search.files.disk import scratch
from search.objectives.predictions import Predictions
from search.targets.latency import Latency, measure_latency


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """One line of the comparison.

    Attributes:
        model: as the person named it.
        accuracy: on the images.
        low: of its 95% interval.
        high: likewise.
        agreement: share of images on which it predicts the teacher's class; None without a teacher.
        size_bytes: of its file.
        parameters: of its float form.
        macs: for one image.
        latency_ms: median for one image, the models in turns.
        latency_p95_ms: 95th percentile.
    """

    model: str
    accuracy: float
    low: float
    high: float
    agreement: float | None
    size_bytes: int
    parameters: int
    macs: int
    latency_ms: float
    latency_p95_ms: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(
    models: Sequence[str], dataset: Dataset, *, part: str, teacher: str | None, threads: int
) -> list[EvaluationResult]:
    """Measures each model on a part of the data.

    Args:
        models: folders, files, names of timm's.
        dataset: the images.
        part: `test` or `validation`.
        teacher: the model that agreement is with; None takes what the first exported student
            keeps of its own teacher, where the images are those of its study.
        threads: that serve one image.

    Raises:
        BadInput: a model is none, or does not fit the data; or the part has no images.
    """
    images = part_of(dataset, part)
    if not len(images):
        raise BadInput(f"the {part} part must have images, but has none: pass --part")
    with scratch() as workspace:
        named = [*models, *([teacher] if teacher and teacher not in models else [])]
        entrants = {
            name: open_model(name, dataset.info, threads=threads, scratch=workspace)
            for name in named
        }
        found = {name: each.predict(images) for name, each in entrants.items()}
        taught = found[teacher] if teacher else _known_teacher(models, dataset, part)
        timed = dict(zip(entrants, _latencies(list(entrants.values())), strict=True))
        return [_standing(entrants[name], found[name], taught, timed[name]) for name in entrants]


def _known_teacher(models: Sequence[str], dataset: Dataset, part: str) -> Predictions | None:
    for folder in (Path(name) for name in models):
        path = folder / TEACHER_PREDICTIONS
        if not (folder / RECIPE).is_file() or not path.is_file():
            continue
        if read_provenance(folder).data.digest == dataset.info.digest:
            return read_predictions(path).get(part)
    return None


def _latencies(entrants: Sequence[EvaluatedModel]) -> list[Latency]:
    return measure_latency([each.timed() for each in entrants])


def _standing(
    entrant: EvaluatedModel, found: Predictions, taught: Predictions | None, latency: Latency
) -> EvaluationResult:
    low, high = wilson_interval(found.accuracy, len(found.labels))
    return EvaluationResult(
        model=entrant.name,
        accuracy=found.accuracy,
        low=low,
        high=high,
        agreement=float((found.classes == taught.classes).mean()) if taught else None,
        size_bytes=entrant.path.stat().st_size,
        parameters=entrant.parameters,
        macs=entrant.macs,
        latency_ms=latency.median_ms,
        latency_p95_ms=latency.p95_ms,
    )
