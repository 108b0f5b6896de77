"""What an ONNX file says of itself: its classes, what its images must be like, how well it does.

These stand in the file's own metadata, where any ONNX Runtime finds them
(`session.get_modelmeta().custom_metadata_map`), as JSON under three keys:

labels          the names of the classes, in the order of the logits
preprocessing   channels, image_size, mean, std, resize, crop: from pixels 0..255 to the input
metrics         what was measured of this file on validation images
"""

import json
from collections.abc import Mapping
from pathlib import Path

import onnx

from search.data.dataset import DataInfo
from search.objectives.metric import Metric
from search.objectives.metrics import metrics
from search.records import Measurement, Quality

LABELS = "labels"
PREPROCESSING = "preprocessing"
METRICS = "metrics"


def described(info: DataInfo, found: Quality | None = None) -> dict[str, str]:
    """What a network for these images says of itself.

    Figures between a metric's best and worst value take as many bytes as these: how many is known
    before they are measured.
    """
    said: dict[str, object] = {
        LABELS: info.classes,
        PREPROCESSING: {
            "channels": info.channels,
            "image_size": info.image_size,
            "mean": info.mean,
            "std": info.std,
            "resize": "bilinear",
            "crop": "largest centred square",
        },
    }
    if found:
        said[METRICS] = {
            **{f"validation_{name}": _fixed(found[name].value, metrics()[name]) for name in found},
            "validation_images": info.sizes.validation,
        }
    return {key: json.dumps(value) for key, value in said.items()}


def append_metadata(path: Path, said: Mapping[str, str]) -> None:
    """Adds to what the ONNX file says of itself; every byte that was there stays as it is.

    Two serialized messages, one after the other, are one that holds the fields of both, lists
    joined: so what was measured of the file before is true of its first bytes, and of the graph.

    Source: https://protobuf.dev/programming-guides/encoding/#last-one-wins
    """
    with path.open("ab") as file:
        file.write(_serialized(said))


def metadata_bytes(info: DataInfo) -> int:
    """By how many bytes a student's file for these images grows."""
    best = {name: Measurement(metric.best) for name, metric in metrics().items()}
    return len(_serialized(described(info, best)))


def _fixed(value: float, metric: Metric) -> str:
    width = max(len(f"{bound:.6f}") for bound in (metric.best, metric.worst))
    return f"{value:{width}.6f}"


def _serialized(said: Mapping[str, str]) -> bytes:
    model = onnx.ModelProto()
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)
    text: bytes = model.SerializeToString()
    return text
