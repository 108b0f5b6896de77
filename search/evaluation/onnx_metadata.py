"""The metadata of a served file: its classes, its preprocessing, its quality.

The served file contains metadata if its format supports that. ONNX Runtime reads the metadata of an
ONNX file as `session.get_modelmeta().custom_metadata_map`. The metadata are JSON under three keys:

labels          the names of the classes, in the order of the logits
preprocessing   channels, image_size, mean, std, resize, crop: how pixels 0..255 become the input
metrics         the metrics of this file on the validation images
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

    Every value between a metric's best and worst takes the same number of bytes, so the size of the
    metadata is known before the measurement.
    """
    metadata: dict[str, object] = {
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
        metadata[METRICS] = {
            **{
                f"validation_{name}": _fixed(measured.value, metrics()[name])
                for name, measured in found.items()
                if name in metrics()  # the recalls of classes are not
            },
            "validation_images": info.sizes.validation,
        }
    return {key: json.dumps(value) for key, value in metadata.items()}


def metadata_bytes(info: DataInfo, runtime: str = registry.DEFAULT_RUNTIME) -> int:
    """Return how many bytes the metadata add to a student's file of the named runtime."""
    best = {name: Measurement(metric.best) for name, metric in metrics().items()}
    return registry.runtime(runtime).annotation_bytes(described(info, best))


def _fixed(value: float, metric: Metric) -> str:
    width = max(len(f"{bound:.6f}") for bound in (metric.best, metric.worst))
    return f"{value:{width}.6f}"
