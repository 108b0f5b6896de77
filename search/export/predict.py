"""The predictions of an exported student for image files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.data.images import load_image
from search.data.preprocess import normalized
from search.evaluation.artifact import read_provenance


@dataclass(frozen=True)
class ClassPrediction:
    """A class and the student's probability for it, 0..1."""

    label: str
    probability: float


def predict(
    folder: Path, images: Sequence[Path]
) -> Iterator[tuple[Path, tuple[ClassPrediction, ...]]]:
    """Yield each image with its probabilities for all classes, the most probable first.

    The measured file computes the predictions.

    Raises:
        ArtifactError: the folder is damaged, or a newer retort wrote it; or its runtime is not
            installed.
        DataError: an image is damaged.
    """
    provenance = read_provenance(folder)
    data, runtime = provenance.data, provenance.served_by
    served = runtime.load(folder / runtime.file, threads=1)
    for path in images:
        pixels = load_image(path, data.image_size, data.channels)
        (logits,) = served.predict(normalized(pixels, data.mean, data.std)[None])
        exponentials = np.exp(logits - logits.max())
        probabilities = exponentials / exponentials.sum()
        order = np.argsort(-probabilities, kind="stable")
        yield (
            path,
            tuple(
                ClassPrediction(data.classes[place], float(probabilities[place])) for place in order
            ),
        )
