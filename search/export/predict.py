"""The predictions of an exported student for image files."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.data.image_files import LinkRules, find_images
from search.data.image_kinds import SUFFIXES, in_words
from search.data.images import load_image
from search.data.preprocess import normalized
from search.errors import BadInput, DataError
from search.evaluation.artifact import read_provenance


@dataclass(frozen=True)
class ClassPrediction:
    """A class and the student's probability for it, 0..1."""

    label: str
    probability: float


def image_files(paths: Sequence[Path]) -> tuple[list[Path], Counter[str]]:
    """Return the paths, with the images below it in place of each folder, and what is not used.

    The second value counts the other files and links in the folders, by kind.

    Raises:
        BadInput: a folder contains no image file.
    """
    found: list[Path] = []
    unused: Counter[str] = Counter()
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = find_images(path, LinkRules(root=path.resolve(), follow=False))
        if not inside.images:
            raise BadInput(
                f"{path} must contain image files ({', '.join(sorted(SUFFIXES))}), but contains "
                f"{in_words(inside.unused.items())}: name another folder"
            )
        found += map(Path, inside.images)
        unused += inside.unused
    return found, unused


def _raised(error: DataError) -> None:
    raise error


def predict(
    folder: Path, images: Sequence[Path], *, on_damage: Callable[[DataError], None] = _raised
) -> Iterator[tuple[Path, tuple[ClassPrediction, ...]]]:
    """Yield each image with its probabilities for all classes, the most probable first.

    The measured file computes the predictions.

    Args:
        folder: an exported student.
        images: image files.
        on_damage: called with the error of a damaged image, which is then left out; by default, the
            error is raised.

    Raises:
        ArtifactError: the folder is damaged, or a newer retort wrote it; or its runtime is not
            installed.
        DataError: an image is damaged.
    """
    provenance = read_provenance(folder)
    data, runtime = provenance.data, provenance.served_by
    served = runtime.load(folder / runtime.file, threads=1)
    for path in images:
        try:
            pixels = load_image(path, data.image_size, data.channels)
        except DataError as error:
            on_damage(error)
            continue
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
