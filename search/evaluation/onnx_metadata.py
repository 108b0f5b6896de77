"""The metadata of a served file: its classes, its input images, its quality.

The served file contains them if its format has room for them. In an ONNX file they are in its own
metadata, where any ONNX Runtime finds them (`session.get_modelmeta().custom_metadata_map`). They
are JSON under three keys:

labels          the names of the classes, in the order of the logits
preprocessing   channels, image_size, mean, std, resize, crop: from pixels 0..255 to the input
metrics         the metrics of this file on validation images
"""

import json

from search.data.dataset import DataInfo
from search.objectives.metric import Metric
from search.objectives.metrics import metrics
from search.records import Measurement, Quality
from search.targets import registry

LABELS = "labels"
PREPROCESSING = "preprocessing"
METRICS = "metrics"


def described(info: DataInfo, found: Quality | None = None) -> dict[str, str]:
    """Return the metadata of a network for these images.

    All figures between a metric's best and worst value take the same number of bytes, so the size
    is known before they are measured.
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


def metadata_bytes(info: DataInfo, runtime: str = registry.DEFAULT_RUNTIME) -> int:
    """Return by how many bytes the metadata enlarge a student's file of the named runtime."""
    best = {name: Measurement(metric.best) for name, metric in metrics().items()}
    return registry.runtime(runtime).annotation_bytes(described(info, best))


def _fixed(value: float, metric: Metric) -> str:
    width = max(len(f"{bound:.6f}") for bound in (metric.best, metric.worst))
    return f"{value:{width}.6f}"
