"""The README of an exported student: a Hugging Face model card, every figure of it measured."""

import math
from collections.abc import Sequence

import yaml

from search.artifacts import Provenance
from search.budget import cost_texts
from search.data.dataset import DataInfo
from search.records import StudyRecord, TrialRecord

_SNIPPET = """\
import numpy, onnxruntime
from PIL import Image

labels = {labels}
image = Image.open("image.png").convert("{mode}")
side = min(image.size)
left, top = (image.width - side) // 2, (image.height - side) // 2
box = (left, top, left + side, top + side)
image = image.resize(({size}, {size}), Image.Resampling.BILINEAR, box=box)
pixels = numpy.asarray(image, numpy.float32).reshape({size}, {size}, {channels}) / 255
pixels = (pixels - numpy.float32({mean})) / numpy.float32({std})
session = onnxruntime.InferenceSession("model.onnx")
logits = session.run(None, {{"input": pixels.transpose(2, 0, 1)[None]}})[0]
print(labels[logits[0].argmax()])
"""


def model_card(study: StudyRecord, trial: TrialRecord, provenance: Provenance) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    data = provenance.data
    kept = "" if provenance.cuts else (
        ' Nothing was pruned, so `timm.create_model("local-dir:DIR", pretrained=True)` works too.'
    )  # fmt: skip
    return f"""---
{yaml.safe_dump(_head(study, trial, data), sort_keys=False).strip()}
---

# {study.name}, trial {trial.number}

A student that a search over students, distillation, pruning and quantization found. It classifies
images of {data.channels} × {data.image_size} × {data.image_size} into {len(data.classes)} classes.

## Measured

On the file `model.onnx`, by ONNX Runtime, one image at a time{_hardware(trial)}.

{_table(("", "student", "teacher"), _figures(study, trial, data))}

## With ONNX Runtime and Pillow alone

```python
{_snippet(data)}```

## With PyTorch

`search.export.load("DIR")` gives the float network.{kept}

## Recipe

{_table(("parameter", "value"), [(f"`{key}`", f"`{trial.params[key]}`") for key in trial.params])}

## Origin

{_table(("what", "value"), [(key, f"`{value}`") for key, value in provenance.origin.items()])}
"""


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95% confidence interval of a share that was observed `count` times.

    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    z = 1.959964
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) * z / (1 + z**2 / count)
    return max(0.0, center - spread), min(1.0, center + spread)


def _head(study: StudyRecord, trial: TrialRecord, data: DataInfo) -> dict[str, object]:
    head: dict[str, object] = {
        "tags": ["image-classification", "knowledge-distillation", "onnx"],
        "library_name": "timm",
        "pipeline_tag": "image-classification",
    }
    if trial.test is None:
        return head
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data.source, "type": data.source, "split": "test"},
        "metrics": [{"type": "accuracy", "value": round(trial.test.accuracy, 6)}],
    }
    return head | {"model-index": [{"name": study.name, "results": [result]}]}


def _figures(study: StudyRecord, trial: TrialRecord, data: DataInfo) -> list[tuple[str, ...]]:
    assert trial.outcome is not None
    assert trial.outcome.quality is not None
    teacher, quality = study.teacher, trial.outcome.quality
    own, taught = cost_texts(trial.outcome.cost), cost_texts(teacher.cost if teacher else None)
    tested = teacher.test_accuracy if teacher else None
    return [
        (
            f"accuracy on {data.sizes.test:,} test images",
            _with_interval(trial.test.accuracy if trial.test else None, data.sizes.test),
            _with_interval(tested, data.sizes.test),
        ),
        (
            f"accuracy on {data.sizes.validation:,} validation images",
            _with_interval(quality.accuracy, data.sizes.validation),
            _with_interval(teacher.accuracy if teacher else None, data.sizes.validation),
        ),
        ("agrees with the teacher", f"{quality.agreement:.2%}", ""),
        *zip(("bytes", "latency, median", "parameters", "MACs"), own, taught, strict=True),
    ]


def _with_interval(share: float | None, count: int) -> str:
    if share is None:
        return "not measured"
    low, high = wilson_interval(share, count)
    return f"{share:.2%} ({low:.2%} to {high:.2%})"


def _hardware(trial: TrialRecord) -> str:
    hardware = trial.outcome.hardware if trial.outcome else {}
    if not hardware:
        return ""
    return f", {hardware['threads']} thread(s) of {hardware['processor']} ({hardware['device']})"


def _snippet(data: DataInfo) -> str:
    return _SNIPPET.format(
        labels=list(data.classes),
        mode="L" if data.channels == 1 else "RGB",
        size=data.image_size,
        channels=data.channels,
        mean=list(data.mean),
        std=list(data.std),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
