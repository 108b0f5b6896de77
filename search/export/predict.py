"""The predictions of an exported student for a person's images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from search.data.dataset import normalize
from search.data.images import load_image
from search.evaluation.artifact import read_provenance


@dataclass(frozen=True)
class ClassPrediction:
    """A class and the student's probability for it, 0..1."""

    label: str
    probability: float


def predict(
    folder: Path, images: Sequence[Path]
) -> Iterator[tuple[Path, tuple[ClassPrediction, ...]]]:
    """Yield each image with all classes, the likeliest first, predicted by the measured file.

    Raises:
        ArtifactError: the folder is damaged, or of a newer version; or its runtime is not
            installed.
        DataError: an image is damaged.
    """
    provenance = read_provenance(folder)
    data, runtime = provenance.data, provenance.served_by
    served = runtime.load(folder / runtime.file, threads=1)
    for path in images:
        pixels = torch.tensor(load_image(path, data.image_size, data.channels))
        (logits,) = served.predict(normalize(pixels[None], data.mean, data.std).numpy())
        above = np.exp(logits - logits.max())
        shares = above / above.sum()
        order = np.argsort(-shares, kind="stable")
        yield (
            path,
            tuple(ClassPrediction(data.classes[place], float(shares[place])) for place in order),
        )
