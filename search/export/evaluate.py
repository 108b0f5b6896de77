"""Comparison of students, teachers and other models, on the same images and machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.analysis.classes import ResultsByClass, results_by_class
from search.data.dataset import DataInfo, Dataset
from search.errors import BadInput, DataError
from search.evaluation.artifact import RECIPE, read_provenance
from search.evaluation.measure import quality
from search.evaluation.predictions_file import read_predictions
from search.export.evaluated_model import EvaluatedModel, open_model
from search.export.exporting import TEACHER_PREDICTIONS
from search.export.images import part_of
from search.files.disk import scratch
from search.objectives.budget import Budget
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.limits import limits
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.pipeline.floor_classes import floor_labels
from search.records import Cost, Quality
from search.targets.latency import Latency, measure_latency
from search.targets.timing import timed_cost

_NO_BUDGET = Budget()


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """One line of the comparison.

    Attributes:
        model: the name that the person gave.
        images: the number of images that it classified.
        quality: every known metric. The metrics that compare with a teacher are absent if there is
            no teacher.
        cost: every known cost. The models are timed alternately.
        by_class: the results of each class, and the confusion matrix.
    """

    model: str
    images: int
    quality: Quality
    cost: Cost
    by_class: ResultsByClass

    def interval(self, metric: Metric) -> tuple[float, float] | None:
        """Return the ends of the metric's 95% interval; None if they are unknown."""
        found = self.quality.get(metric.name)
        if found is None:
            return None
        return metric.confidence(found.value, found.error, self.images)

    def broken_floors(self, floors: Sequence[Floor]) -> list[str]:
        """Return the floors that its quality breaks, in words."""
        values = ((floor, floor.value(self.quality)) for floor in floors)
        return [
            floor.explain(value)
            for floor, value in values
            if value is not None and floor.shortfall(value) > 0
        ]

    def to_json(self, goal: Goal, floors: Sequence[Floor] = ()) -> dict[str, Any]:
        """Return JSON values: the metrics with their 95% intervals, the floors, and the costs.

        `low` and `high` are the ends of the interval of the goal's metric. With floors,
        `broken_floors` names those that its quality breaks.
        """
        row: dict[str, Any] = {"model": self.model}
        for metric in goal.all_metrics:
            found, name = self.quality.get(metric.name), metric.name
            low, high = self.interval(metric) or (None, None)
            row[name] = None if found is None else found.value
            row |= {f"{name}_low": low, f"{name}_high": high}
        row["low"], row["high"] = (row[f"{goal.metric.name}_{end}"] for end in ("low", "high"))
        row |= {floor.name: floor.value(self.quality) for floor in floors}
        if floors:
            row["broken_floors"] = "; ".join(self.broken_floors(floors))
        costs = [cost for limit in limits().values() for cost in (limit.cost, *limit.also)]
        return row | {cost: self.cost.get(cost) for cost in costs}

    def class_rows(self) -> list[dict[str, Any]]:
        """Return JSON values for each class, by label; the recall is None without images."""
        return [
            {
                "model": self.model,
                "class": each.name,
                "images": each.images,
                "right": each.right,
                "recall": each.recall,
            }
            for each in self.by_class.classes
        ]

    def confusion_rows(self) -> list[dict[str, Any]]:
        """Return JSON values for each cell of the confusion matrix that is not 0."""
        names = [each.name for each in self.by_class.classes]
        return [
            {
                "model": self.model,
                "class": names[cell.true],
                "predicted": names[cell.predicted],
                "images": cell.images,
                "share": cell.share,
            }
            for cell in self.by_class.cells
        ]


def evaluate(
    models: Sequence[str],
    dataset: Dataset,
    *,
    part: str,
    teacher: str | None,
    threads: int,
    budget: Budget = _NO_BUDGET,
) -> list[EvaluationResult]:
    """Measure each model on a part of the data.

    Args:
        models: exported folders, files, or names of timm models.
        dataset: the images.
        part: `test` or `validation`.
        teacher: the model that the others are compared with. With None, the first exported
            folder of `models` that contains its teacher's predictions supplies them, if `dataset`
            is the data of its study.
        threads: the number of threads that serve one image.
        budget: the budget of the first exported student, whose classes with floors are measured, if
            the data have them.

    Raises:
        BadInput: a name is not a model, a model does not fit the data, or the part has no images.
    """
    images = part_of(dataset, part)
    if not len(images):
        raise BadInput(
            f"the {part} part must have images, but has none: choose another with --part"
        )
    with scratch() as workspace:
        named = [*models, *([teacher] if teacher and teacher not in models else [])]
        opened = {
            name: open_model(name, dataset.info, threads=threads, scratch=workspace)
            for name in named
        }
        found = {name: each.predict(images) for name, each in opened.items()}
        teacher_predictions = found[teacher] if teacher else _known_teacher(models, dataset, part)
        classes = _known_classes(budget, dataset.info)
        timed = dict(zip(opened, _latencies(list(opened.values())), strict=True))
        return [
            EvaluationResult(
                model=name,
                images=len(images),
                quality=_quality(found[name], teacher_predictions, classes),
                cost={**opened[name].cost, **timed_cost(timed[name])},
                by_class=results_by_class(found[name], dataset.info.classes),
            )
            for name in opened
        ]


def _known_teacher(models: Sequence[str], dataset: Dataset, part: str) -> Predictions | None:
    for folder in (Path(name) for name in models):
        path = folder / TEACHER_PREDICTIONS
        if not (folder / RECIPE).is_file() or not path.is_file():
            continue
        if read_provenance(folder).data.digest == dataset.info.digest:
            return read_predictions(path).get(part)
    return None


def _latencies(opened: Sequence[EvaluatedModel]) -> list[Latency]:
    return measure_latency([each.timed() for each in opened])


def _known_classes(budget: Budget, info: DataInfo) -> Mapping[str, int]:
    """Return the labels of the budget's classes; empty if the data lack one of them."""
    try:
        return floor_labels(budget, info)
    except DataError:
        return {}


def _quality(
    found: Predictions, teacher: Predictions | None, classes: Mapping[str, int]
) -> Quality:
    return quality(found, teacher=None if teacher is None else teacher.classes, classes=classes)
