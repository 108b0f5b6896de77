"""The file of a network's predictions for the images of a part. NumPy can read it.

`predictions.npz` contains four arrays for each measured part (`validation`, `test`), in the order
of the part's images, [images]:

{part}_labels       the true class
{part}_classes      the predicted class
{part}_confidence   the predicted class's probability, 0..1, float32
{part}_ranks        the number of classes with a higher logit than the true one; files of older
                    versions do not have this array

In a study's artifacts, each network's own folder contains its predictions for the validation part.
The test part is measured after these folders are complete, so its predictions are in
`tested/<folder>`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.errors import ArtifactError
from search.files.arrays import read_npz
from search.files.filestore import FolderStore
from search.objectives.predictions import Predictions

Writing = Callable[[str], AbstractContextManager[Path]]

PREDICTIONS = "predictions.npz"
TEACHER = "teacher"
"""The name of the teacher's folder in a study's artifacts."""
PARTS = ("validation", "test")
_TESTED = "tested"
_ARRAYS, _RANKS = ("labels", "classes", "confidence"), "ranks"
# Far above the 21,843 classes of the largest labelled image data sets.
_MOST_CLASSES = 2**20


def write_predictions(path: Path, parts: Mapping[str, Predictions]) -> None:
    """Write the parts' predictions, with classes in the smallest integer type that fits."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for part, found in parts.items():
        smallest = np.min_scalar_type(max(found.labels.max(), found.classes.max()))
        arrays[f"{part}_labels"] = found.labels.astype(smallest)
        arrays[f"{part}_classes"] = found.classes.astype(smallest)
        arrays[f"{part}_confidence"] = found.confidence
        if found.ranks is not None:
            arrays[f"{part}_ranks"] = found.ranks.astype(np.min_scalar_type(found.ranks.max()))
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read the predictions in a file, by part.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        names = (*_ARRAYS, _RANKS)
        arrays = read_npz(path, [f"{part}_{name}" for part in PARTS for name in names])
        found = {part: _part(arrays, part) for part in PARTS if f"{part}_classes" in arrays}
    except (OSError, ValueError, LookupError) as error:
        raise ArtifactError(f"the predictions in {path} can't be read: {error}") from error
    return found


def kept_predictions(artifacts: FolderStore, name: str) -> dict[str, Predictions]:
    """Return a network's stored predictions in a study, by part, without missing parts.

    Args:
        artifacts: the study's folder store.
        name: the network's folder there: an artifact's path, or `TEACHER`.

    Raises:
        ArtifactError: a file is damaged or unreachable.
    """
    folders = (artifacts.fetched(name), (artifacts / _TESTED).fetched(name))
    found: dict[str, Predictions] = {}
    for path in (folder / PREDICTIONS for folder in folders):
        if path.is_file():
            found |= read_predictions(path)
    return found


def keep_test(writing: Writing, name: str, found: Predictions) -> None:
    """Store a network's predictions for the test part.

    Args:
        writing: opens a new folder in the study's artifacts by its name.
        name: the network's folder in the artifacts.
        found: its predictions.
    """
    with writing(f"{_TESTED}/{name}") as folder:
        write_predictions(folder / PREDICTIONS, {"test": found})


def _part(arrays: Mapping[str, NDArray[np.generic]], part: str) -> Predictions:
    labels, classes, confidence = (arrays[f"{part}_{name}"] for name in _ARRAYS)
    if not (labels.ndim == 1 and labels.shape == classes.shape == confidence.shape):
        raise ValueError(f"the arrays of {part} must have the same length")
    if confidence.dtype.kind != "f" or not (_are_classes(labels) and _are_classes(classes)):
        raise ValueError(f"the arrays of {part} must contain class numbers and probabilities")
    ranks = arrays.get(f"{part}_{_RANKS}")
    if ranks is not None and not (ranks.shape == labels.shape and _are_classes(ranks)):
        raise ValueError(f"the ranks of {part} must be whole numbers, one for each image")
    return Predictions(
        labels=labels.astype(np.int64),
        classes=classes.astype(np.int64),
        confidence=confidence.astype(np.float32),
        ranks=None if ranks is None else ranks.astype(np.int64),
    )


def _are_classes(values: NDArray[np.generic]) -> bool:
    """Return whether the values are class numbers, small enough to count by class in memory."""
    if values.dtype.kind not in "iu" or not len(values):
        return values.dtype.kind in "iu"
    return bool(values.min() >= 0 and values.max() < _MOST_CLASSES)
