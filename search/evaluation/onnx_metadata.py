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
from search.records import Quality

LABELS = "labels"
PREPROCESSING = "preprocessing"
METRICS = "metrics"


def described(info: DataInfo, found: Quality | None = None) -> dict[str, str]:
    """What a network for these images says of itself.

    Figures have a fixed number of digits: how many bytes they take is known before they are.
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
            "validation_accuracy": f"{found.accuracy:.6f}",
            "validation_agreement_with_teacher": f"{found.agreement:.6f}",
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
    return len(_serialized(described(info, Quality(accuracy=0.0, agreement=0.0))))


def _serialized(said: Mapping[str, str]) -> bytes:
    model = onnx.ModelProto()
    for key, value in said.items():
        model.metadata_props.add(key=key, value=value)
    text: bytes = model.SerializeToString()
    return text
