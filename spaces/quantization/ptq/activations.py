"""Values inside a network on calibration images, computed by ONNX Runtime."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import onnxruntime
from onnx import ModelProto

from spaces.quantization.ptq.graph import OnnxGraph, part_that_makes

# The values of a whole network take much memory, so few images are computed at once.
CHUNK_IMAGES = 32


def first_images(
    batches: Iterable[np.ndarray], count: int
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Return the first calibration images, and all batches including theirs.

    Args:
        batches: normalised images, each [batch, channels, height, width], float32.
        count: the largest number of images to return.

    Returns:
        Images, [images, channels, height, width]; without batches, an empty array of no such shape.
    """
    rest = iter(batches)
    taken: list[np.ndarray] = []
    while sum(map(len, taken)) < count and (batch := next(rest, None)) is not None:
        taken.append(batch)
    images = np.concatenate(taken)[:count] if taken else np.zeros(0, np.float32)
    return images, chain(taken, rest)


class Activations:
    """The values that a part of a model computes for images.

    Args:
        model: the model, with one input.
        names: the names of the values.
    """

    def __init__(self, model: ModelProto, names: Sequence[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._input = OnnxGraph(model).input
        computed = [name for name in self._names if name != self._input]
        self._session = _session(part_that_makes(model, computed)) if computed else None

    def chunks(self, images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Yield the values of a few images at a time, by name.

        Args:
            images: [images, channels, height, width], float32.
        """
        for start in range(0, len(images), CHUNK_IMAGES):
            chunk = images[start : start + CHUNK_IMAGES]
            found = {self._input: chunk} if self._input in self._names else {}
            if self._session is not None:
                names = [output.name for output in self._session.get_outputs()]
                values = self._session.run(names, {self._input: chunk})
                found |= dict(zip(names, values, strict=True))
            yield found


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
