"""Comparison of students, teachers and foreign models, on the same images and machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.data.dataset import Dataset
from search.errors import BadInput
from search.evaluation.artifact import RECIPE, read_provenance
from search.evaluation.measure import quality
from search.evaluation.predictions_file import read_predictions
from search.export.evaluated_model import EvaluatedModel, open_model
from search.export.exporting import TEACHER_PREDICTIONS
from search.export.images import part_of
from search.files.disk import scratch
from search.objectives.goal import Goal
from search.objectives.limits import limits
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.records import Cost, Quality
from search.targets.latency import Latency, measure_latency
from search.targets.timing import timed_cost


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """One line of the comparison.

    Attributes:
        model: the name that the person gave.
        images: the number of images that it was given.
        quality: every known metric; without a teacher, none that compares with it.
        cost: every known cost; the models were timed in turns.
    """

    model: str
    images: int
    quality: Quality
    cost: Cost

    def interval(self, metric: Metric) -> tuple[float, float] | None:
        """Return the ends of the metric's 95% interval; None where they are unknown."""
        found = self.quality.get(metric.name)
        if found is None:
            return None
        return metric.confidence(found.value, found.error, self.images)

    def to_json(self, goal: Goal) -> dict[str, Any]:
        """Return plain values: metrics with 95% intervals (the goal's: `low` and `high`); costs."""
        row: dict[str, Any] = {"model": self.model}
        for metric in goal.all_metrics:
            found, name = self.quality.get(metric.name), metric.name
            low, high = self.interval(metric) or (None, None)
            row[name] = None if found is None else found.value
            row |= {f"{name}_low": low, f"{name}_high": high}
        row["low"], row["high"] = (row[f"{goal.metric.name}_{end}"] for end in ("low", "high"))
        costs = [cost for limit in limits().values() for cost in (limit.cost, *limit.also)]
        return row | {cost: self.cost.get(cost) for cost in costs}


def evaluate(
    models: Sequence[str], dataset: Dataset, *, part: str, teacher: str | None, threads: int
) -> list[EvaluationResult]:
    """Measure each model on a part of the data.

    Args:
        models: folders, files, names of timm's.
        dataset: the images.
        part: `test` or `validation`.
        teacher: the model that others are compared with. With None, it is the teacher whose
            predictions the first exported student keeps, where the images are those of its study.
        threads: that serve one image.

    Raises:
        BadInput: a name is no model, a model doesn't fit the data, or the part has no images.
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
    return EvaluationResult(
        model=entrant.name,
        images=len(found.labels),
        quality=quality(found, teacher=None if taught is None else taught.classes),
        cost={**entrant.cost, **timed_cost(latency)},
    )
