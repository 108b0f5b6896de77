"""The README of an exported student: a Hugging Face model card, every figure of it measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import timm
import yaml

from search.artifacts.student import Provenance
from search.data.dataset import DataInfo
from search.evaluation.intervals import wilson_interval, with_interval
from search.export.formats import ExportFormat
from search.export.loading_snippet import snippet
from search.export.record import ExportedMeasurements
from search.objectives.budget import cost_texts
from search.objectives.predictions import Predictions
from search.records import Scalar

_FORMATS = {
    ExportFormat.FLOAT32: "the float network, for ONNX Runtime",
    ExportFormat.FP16: "its weights in 16-bit floats, inputs and outputs in 32",
    ExportFormat.UINT8: (
        "`model.onnx` with its preprocessing: `pixels`, [batch, height, width, channels], uint8, "
        "of any size; cut and resized within 2 of 255 levels of Pillow"
    ),
    ExportFormat.PT2: (
        "the float network as torch.export saves it. Its loader can run code that a file holds: "
        "load it only where you trust its origin"
    ),
    ExportFormat.OPENVINO: "`model.onnx` for OpenVINO",
    ExportFormat.TFLITE: "the float network for TensorFlow Lite",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a model card tells.

    Attributes:
        study: the study's name.
        trial: the trial's number.
        measured: cost and quality.
        provenance: recipe, data and origin.
        student: its predictions for the test images; None where it was not tested.
        teacher: its teacher's.
        formats: what else is in the folder.
    """

    study: str
    trial: int
    measured: ExportedMeasurements
    provenance: Provenance
    student: Predictions | None
    teacher: Predictions | None
    formats: tuple[ExportFormat, ...]

    @property
    def data(self) -> DataInfo:
        """What the student was trained on."""
        return self.provenance.data


def model_card(report: Report) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    data, params = report.data, report.provenance.params
    origin = report.provenance.origin
    return f"""---
{yaml.safe_dump(_head(report), sort_keys=False, allow_unicode=True).strip()}
---

# {report.study}, trial {report.trial}

A student that a search over students, distillation, pruning and quantization found. It classifies
images of {data.channels} × {data.image_size} × {data.image_size} into {len(data.classes)} classes.

## Measured

On the file `model.onnx`, by ONNX Runtime, one image at a time{_hardware(report.measured)}.
Intervals are of 95% confidence.

{_table(("", "student", _teacher(report)), _figures(report))}

{_by_class(report)}## With ONNX Runtime and Pillow alone

```python
{snippet(data)}```

## With PyTorch

{_with_torch(report.provenance)}

## Files

{_table(("file", "what it is"), _files(report))}

## Intended use

Classifying images that are like its data into these classes, where bytes and milliseconds are
scarce. Every image is given one of them, also one of something else: what the student does with
images unlike its data was not measured. Measure on your own images before you rely on it:
`retort evaluate`.

## Data

{_data(data)}

## Licence

{_licence(params)}

## Recipe

{_table(("parameter", "value"), [(_code(key), _code(params[key])) for key in params])}

## Origin

{_table(("what", "value"), [(key, _code(value)) for key, value in origin.items()])}
"""


def _head(report: Report) -> dict[str, object]:
    licence = _pretrained_licence(report.provenance.params)
    head: dict[str, object] = {
        **({"license": licence} if licence else {}),
        "tags": ["image-classification", "knowledge-distillation", "onnx", "retort"],
        "library_name": "timm" if report.provenance.is_timms_own else "onnx",
        "pipeline_tag": "image-classification",
    }
    test, data = report.measured.test, report.data
    if test is None:
        return head
    low, high = wilson_interval(test.accuracy, data.sizes.test)
    accuracy = {
        "type": "accuracy",
        "name": f"accuracy, 95% interval {low:.4f} to {high:.4f}",
        "value": round(test.accuracy, 6),
    }
    agreement = {
        "type": "agreement",
        "name": "agreement with the teacher",
        "value": round(test.agreement, 6),
    }
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data.source, "type": data.source, "split": "test"},
        "metrics": [accuracy, agreement],
    }
    return head | {"model-index": [{"name": report.study, "results": [result]}]}


def _teacher(report: Report) -> str:
    teacher = report.measured.teacher
    return f"teacher, {_code(teacher.name)}" if teacher else "teacher"


def _figures(report: Report) -> list[tuple[str, ...]]:
    measured, sizes = report.measured, report.data.sizes
    teacher, test, quality = measured.teacher, measured.test, measured.quality
    own, taught = cost_texts(measured.cost), cost_texts(teacher.cost if teacher else None)
    return [
        (
            f"accuracy on {sizes.test:,} test images",
            with_interval(test.accuracy if test else None, sizes.test),
            with_interval(teacher.test_accuracy if teacher else None, sizes.test),
        ),
        ("agrees with the teacher there", f"{test.agreement:.2%}" if test else "not measured", ""),
        (
            f"accuracy on {sizes.validation:,} validation images",
            with_interval(quality.accuracy, sizes.validation),
            with_interval(teacher.accuracy if teacher else None, sizes.validation),
        ),
        ("agrees with the teacher there", f"{quality.agreement:.2%}", ""),
        *zip(("bytes", "latency, median", "parameters", "MACs"), own, taught, strict=True),
    ]


def _by_class(report: Report) -> str:
    """The table of classes, and a blank line; empty where the student was not tested."""
    if report.student is None:
        return ""
    classes = report.data.classes
    own = report.student.by_class(len(classes))
    taught = report.teacher.by_class(len(classes)) if report.teacher else None
    rows = [
        (
            _cell(name),
            str(count),
            _share(right, count),
            _share(taught[place][1], count) if taught else "not measured",
        )
        for place, (name, (count, right)) in enumerate(zip(classes, own, strict=True))
    ]
    table = _table(("class", "test images", "student", "teacher"), rows)
    return f"### By class\n\n{table}\n\n"


def _with_torch(provenance: Provenance) -> str:
    ways = [
        "```python\n"
        "from search.export import load  # of retort\n"
        'model, transform, labels = load("DIR")\n'
        "print(labels[model(transform(image)[None]).argmax()])  # image: of PIL\n"
        "```"
    ]
    if provenance.is_timms_own:
        ways.append(
            "No channel was cut, so timm loads the float weights"
            f"{', which are not what was measured' * (not provenance.is_float)}:\n\n"
            "```python\n"
            "import timm\n"
            'model = timm.create_model("local-dir:DIR", pretrained=True)\n'
            "```"
        )
    return "\n\n".join(ways)


def _files(report: Report) -> list[tuple[str, str]]:
    floats = "the float weights, after pruning"
    if report.provenance.is_tuned:
        floats += " and as the rounding that they were trained under leaves them"
    return [
        ("`model.onnx`", "what was measured; classes and preprocessing are in its metadata"),
        ("`model.safetensors`", floats),
        ("`config.json`", "timm's: architecture, classes, preprocessing"),
        ("`recipe.json`", "what was chosen, what was measured, where it comes from"),
        ("`predictions.npz`", "what the student predicts for validation and test images"),
        ("`teacher_predictions.npz`", "the same of its teacher"),
        *((f"`{form.file}`", _FORMATS[form]) for form in report.formats),
        ("`SHA256SUMS`", "of all others: `sha256sum --check SHA256SUMS`"),
    ]


def _data(data: DataInfo) -> str:
    sizes = data.sizes
    return (
        f"`{data.source}`: {sizes.training:,} training, {sizes.validation:,} validation and "
        f"{sizes.test:,} test images, sha256 `{data.digest}`. The search compared on validation; "
        f"the test images decided nothing. {data.repeated:,} validation and test images are in "
        f"training too, pixel for pixel; {len(data.corrupt):,} damaged files were skipped."
    )


def _licence(params: Mapping[str, Scalar]) -> str:
    model = params.get("student.timm.model")
    if not params.get("student.timm.pretrained"):
        return (
            "The student started from random weights, so no licence of pretrained weights binds "
            "it; that of its data, and of its teacher, may."
        )
    stated = _pretrained_licence(params)
    told = f"which timm states to be under `{stated}`" if stated else "of a licence not stated"
    return f"The student started from the pretrained weights of `{model}`, {told}."


def _pretrained_licence(params: Mapping[str, Scalar]) -> str | None:
    """The licence of the weights that the student started from; None where there is none."""
    if not params.get("student.timm.pretrained"):
        return None
    config = timm.get_pretrained_cfg(str(params["student.timm.model"]))
    return (config.license if config else None) or None


def _hardware(measured: ExportedMeasurements) -> str:
    hardware = measured.hardware
    if not hardware:
        return ""
    return f", {hardware['threads']} thread(s) of {hardware['processor']} ({hardware['device']})"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "–"


def _code(value: object) -> str:
    return f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    """Text that does not break a table, whatever a folder of images is called."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
