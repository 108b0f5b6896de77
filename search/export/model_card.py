"""The README of an exported student: a Hugging Face model card that states only measurements."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources

import timm
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined

from search.data.dataset import DataInfo
from search.data.notes import unused_text
from search.evaluation.artifact import Provenance
from search.evaluation.onnx_metadata import metadata_bytes
from search.export.card_classes import CardClasses, card_classes
from search.export.formats import ExportFormat
from search.export.loading_snippet import snippet
from search.export.record import CARD_DIGITS, ExportedMeasurements
from search.objectives.budget import cost_texts, doubt_text
from search.objectives.floors import Floor
from search.objectives.goal import Goal
from search.objectives.intervals import interval_text
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.records import Quality, Scalar
from search.targets.target import Runtime

_FORMATS = {
    ExportFormat.FLOAT32: "the float32 network, for ONNX Runtime",
    ExportFormat.FP16: "the network with float16 weights and float32 inputs and outputs",
    ExportFormat.UINT8: (
        "the measured file with its preprocessing. The input is `pixels`, [batch, height, width, "
        "channels], uint8, of any size, such as `decoded(path)[None]` of preprocess.py. Cropped "
        "and resized pixels differ by at most 2 of 255 levels from Pillow's"
    ),
    ExportFormat.PT2: (
        "the float32 network as torch.export saves it. Loading it can run code that the file "
        "contains: load it only if you trust its origin"
    ),
    ExportFormat.OPENVINO: "the measured file for OpenVINO",
    ExportFormat.TFLITE: "the float32 network for TensorFlow Lite",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The content of a model card.

    Attributes:
        study: the study's name.
        trial: the trial's number.
        goal: the study's goal.
        measured: cost and quality.
        provenance: recipe, data and origin.
        student: the student's predictions for the test images; None if it was not tested.
        teacher: the teacher's predictions for the test images; None if there are none.
        formats: the further formats in the folder.
        loaded_by: by a file's name, the runtime and its oldest version that loads the file. A file
            without a known version is absent.
        notes: sentences on the training of a finalist or a refit, and on the budget's floors.
        floors: the floors of the study's budget.
    """

    study: str
    trial: int
    goal: Goal
    measured: ExportedMeasurements
    provenance: Provenance
    student: Predictions | None
    teacher: Predictions | None
    formats: tuple[ExportFormat, ...]
    loaded_by: Mapping[str, str]
    notes: tuple[str, ...] = ()
    floors: tuple[Floor, ...] = ()

    @property
    def data(self) -> DataInfo:
        """The data that the student was trained on."""
        return self.provenance.data


@dataclass(frozen=True, kw_only=True)
class _Card:
    """The values that fill the template.

    Attributes:
        report: the content of the card.
        head: the metadata that the hub reads, as YAML.
        data: the data that the student was trained on.
        provenance: recipe, data and origin.
        figures: rows of a label, the student's value, the teacher's value.
        classes: the tables by class; None if the student was not tested.
        formats: rows of a further file in the folder, and its description.
        snippet: Python code that runs the student without retort; None if there is none.
        runtime: the runtime that served the student when it was measured.
        doubt: the explanation of latencies that can't be trusted; None if all can.
        least_runtime: the oldest version of the runtime that loads the served file, with its name;
            None if it is unknown.
        is_annotated: whether the served file contains its classes as metadata.
        augmentation: how training images were changed.
        unused: the files of the data that were not used.
        licence: the licence of the pretrained weights; None if it is unknown, or if there are no
            pretrained weights.
    """

    report: Report
    head: str
    data: DataInfo
    provenance: Provenance
    figures: list[tuple[str, str, str]]
    classes: CardClasses | None
    formats: list[tuple[str, str]]
    snippet: str | None
    runtime: Runtime
    doubt: str | None
    least_runtime: str | None
    is_annotated: bool
    augmentation: str
    unused: str
    licence: str | None


def model_card(report: Report) -> str:
    """Return Markdown that starts with the YAML metadata of the Hugging Face hub."""
    teacher = report.measured.teacher
    licence, runtime = _pretrained_licence(report.provenance.params), report.provenance.served_by
    card = _Card(
        report=report,
        head=_head(report, licence),
        data=report.data,
        provenance=report.provenance,
        figures=_figures(report),
        classes=_classes(report),
        formats=[(each.file, _described(each, report)) for each in report.formats],
        doubt=doubt_text(report.measured.cost, teacher.cost if teacher else None),
        least_runtime=report.loaded_by.get(runtime.file),
        snippet=snippet(runtime),
        runtime=runtime,
        is_annotated=bool(metadata_bytes(report.data, runtime.name)),
        augmentation=str(report.data.augmentation),
        unused=unused_text(report.data),
        licence=licence,
    )
    # Markdown does not decode HTML escapes in code, so only cells are escaped: the template passes
    # every name that a person chose through `cell` or `code`.
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"cell": _cell, "code": _code, "grouped": "{:,}".format}
    text = (resources.files("search.export") / "model_card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(vars(card))


def _described(each: ExportFormat, report: Report) -> str:
    """Return the description of a further file, with the oldest runtime that loads it."""
    least = report.loaded_by.get(each.file)
    return _FORMATS[each] + (f"; needs {least} or newer" if least else "")


def _head(report: Report, licence: str | None) -> str:
    """Return the metadata that the hub reads, as YAML."""
    results, library = _eval_results(report), report.provenance.served_by.library
    data = ModelCardData(
        license=licence,
        tags=["image-classification", "knowledge-distillation", library, "retort"],
        library_name="timm" if report.provenance.is_timms_own else library,
        pipeline_tag="image-classification",
        model_name=report.study if results else None,  # the hub wants it only with results
        eval_results=results,
    )
    return data.to_yaml()


def _eval_results(report: Report) -> list[EvalResult] | None:
    """Return every metric on the test images; None if the student was not tested."""
    data, found = report.data, []
    for metric in report.goal.all_metrics:
        if metric.name not in report.measured.test:
            continue
        measured, label = report.measured.test[metric.name], metric.label
        interval = metric.confidence(measured.value, measured.error, data.sizes.test)
        if interval is not None:
            label += f", 95% interval {interval[0]:.4f} to {interval[1]:.4f}"
        result = EvalResult(
            task_type="image-classification",
            dataset_type=data.source,
            dataset_name=data.source,
            dataset_split="test",
            metric_type=metric.name,
            metric_name=label,
            metric_value=round(measured.value, CARD_DIGITS),
        )
        found.append(result)
    return found or None


def _figures(report: Report) -> list[tuple[str, str, str]]:
    """Return rows of a label, the student's value, the teacher's value."""
    measured, sizes = report.measured, report.data.sizes
    teacher = measured.teacher
    parts = (
        ("test", sizes.test, measured.test, teacher.test if teacher else {}),
        ("validation", sizes.validation, measured.quality, teacher.quality if teacher else {}),
    )
    rows = [
        (
            f"{metric.label} on {count:,} {part} images",
            _with_interval(metric, own, count),
            # The metric compares with the teacher, so the teacher itself has none.
            "" if metric.uses_teacher else _with_interval(metric, teachers, count),
        )
        for part, count, own, teachers in parts
        # A refit has no validation images, because it was trained on them.
        if part == "test" or count
        for metric in report.goal.all_metrics
        if metric.name in own or metric.name == report.goal.metric.name
    ]
    rows += [
        (f"{floor.label} on {part} images", floor.text(own), floor.text(teachers))
        for floor in report.floors
        if floor.of_class is not None
        for part, _, own, teachers in parts
        if floor.name in own
    ]
    own_costs = cost_texts(measured.cost)
    teacher_costs = cost_texts(teacher.cost if teacher else None)
    costs = [
        (
            f"{limit.label} ({limit.description})",
            own_costs[limit.label],
            teacher_costs[limit.label],
        )
        for limit in report.goal.all_limits
    ]
    return rows + costs


def _with_interval(metric: Metric, quality: Quality, images: int) -> str:
    found = quality.get(metric.name)
    return "not measured" if found is None else interval_text(metric, found, images)


def _classes(report: Report) -> CardClasses | None:
    if report.student is None:
        return None
    return card_classes(report.student, report.teacher, report.data.classes)


def _pretrained_licence(params: Mapping[str, Scalar]) -> str | None:
    """Return the licence of the pretrained weights; None if it is unknown, or without such."""
    if not params.get("student.timm.pretrained"):
        return None
    config = timm.get_pretrained_cfg(str(params["student.timm.model"]))
    return (config.license if config else None) or None


def _code(value: object) -> str:
    return f"`{_on_one_line(str(value))}`"


def _cell(text: str) -> str:
    """Return text as a table cell, escaped: a class can have any folder name."""
    return escape(_on_one_line(text), quote=False)


def _on_one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
