"""Models that can be compared on the same images: exported students, files, timm models."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import timm
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.checker import ValidationError
from pydantic import Field, FiniteFloat, TypeAdapter

from search.data.dataset import DataInfo, Part, normalize
from search.errors import ArtifactError, BadInput, shortened
from search.evaluation.artifact import LARGEST_IMAGE, RECIPE, load_network, read_provenance
from search.evaluation.onnx_metadata import LABELS, PREPROCESSING
from search.export.formats import ExportFormat
from search.export.operations import count_onnx
from search.files.reading import DamagedFile, parsed_json
from search.objectives.counting import count_cost
from search.objectives.predictions import Predictions
from search.records import Cost
from search.targets.latency import Served
from search.targets.onnx_export import export_onnx
from search.targets.registry import runtime_in, runtime_of_file
from search.targets.target import ServedModel

_BATCH = 256
_LARGEST_FIXED_BATCH = 1024
_FORMAT_FILES = {each.file for each in ExportFormat}


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """A loaded model file, and the input that it needs.

    Attributes:
        name: the name that the person gave.
        path: its file.
        served: the file, loaded.
        channels: the channels of its input.
        image_size: the side of its input, in pixels.
        mean: the mean of each channel, for normalising its images; None if the model takes raw
            pixels, [batch, height, width, channels], uint8.
        std: the standard deviation of each channel; None as for `mean`.
        cost: its counted costs, without timings.
    """

    name: str
    path: Path
    served: ServedModel
    channels: int
    image_size: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    cost: Cost

    def predict(self, part: Part) -> Predictions:
        """Predict the classes of a part's images, resized to the model's input."""
        logits = [
            self.logits(batch.images) for batch in part.batches(_BATCH, image_size=self.image_size)
        ]
        return Predictions.of_logits(np.concatenate(logits), part.labels)

    def logits(self, images: torch.Tensor) -> np.ndarray:
        """Return the logits of images [batch, channels, size, size], uint8."""
        if self.mean is None or self.std is None:
            return self._run(images.permute(0, 2, 3, 1).contiguous().numpy())
        return self._run(normalize(images, self.mean, self.std).numpy())

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        """Return logits of inputs [batch, …], split and padded to a fixed batch size if needed."""
        fixed = self.served.input_shape[0]
        if not isinstance(fixed, int):
            return self.served.predict(inputs)
        found = []
        for start in range(0, len(inputs), fixed):
            some = inputs[start : start + fixed]
            filled = np.concatenate([some, np.repeat(some[-1:], fixed - len(some), axis=0)])
            found.append(self.served.predict(filled)[: len(some)])
        return np.concatenate(found)

    def timed(self) -> Served:
        """Return the served model for timing; raw pixels are prepared before the timing."""
        shape = (self.channels, self.image_size, self.image_size)
        if self.mean is not None:
            is_fixed = isinstance(self.served.input_shape[0], int)
            serve = self._run if is_fixed else self.served.predict
            return _Shaped(serve, shape, self.served.computes_in_caller)
        pixels = np.zeros((1, self.image_size, self.image_size, self.channels), np.uint8)
        return _Shaped(lambda images: self._run(pixels), shape, self.served.computes_in_caller)


@dataclass(frozen=True)
class _Shaped:
    """A served model with a known image shape, which the file itself may leave open."""

    serve: Callable[[np.ndarray], np.ndarray]
    image_shape: tuple[int, int, int]
    computes_in_caller: bool

    def predict(self, images: np.ndarray) -> np.ndarray:
        return self.serve(images)


def open_model(name: str, info: DataInfo, *, threads: int, scratch: Path) -> EvaluatedModel:
    """Open a model by name: an exported folder, a runtime's file, or a timm model.

    Args:
        name: a folder, a file, or a name that `timm.create_model` accepts, such as `local-dir:DIR`.
        info: the data that the model must classify.
        threads: the number of threads that serve it.
        scratch: a folder for the ONNX files of timm models.

    Raises:
        BadInput: no such model exists, or its classes are not the data's.
        ArtifactError: its file is damaged.
    """
    path = Path(name)
    if path.is_dir() and (path / RECIPE).is_file():
        found = _exported(name, path, threads)
    elif path.is_dir() and (serving := runtime_in(path)):
        found = _file(name, path / serving.file, info, threads)  # a study's teacher
    elif path.is_file():
        found = _file(name, path, info, threads)
    else:
        found = _timm(name, info, threads, scratch)
    _check_classes(found, info)
    return found


def _exported(name: str, folder: Path, threads: int) -> EvaluatedModel:
    provenance = read_provenance(folder)
    data, serving = provenance.data, provenance.served_by
    shape = (data.channels, data.image_size, data.image_size)
    return EvaluatedModel(
        name=name,
        path=folder / serving.file,
        served=serving.load(folder / serving.file, threads=threads),
        channels=data.channels,
        image_size=data.image_size,
        mean=data.mean,
        std=data.std,
        cost=count_cost(load_network(folder), folder / serving.file, shape),
    )


def _file(name: str, path: Path, info: DataInfo, threads: int) -> EvaluatedModel:
    """Open a file; `info` supplies the preprocessing that the file does not state."""
    served = runtime_of_file(path).load(path, threads=threads)
    if (rank := len(served.input_shape)) != 4:
        raise BadInput(
            f"{name} must take images, [batch, channels, height, width], but its input has {rank} "
            "dimensions"
        )
    preprocessing = _preprocessing(name, served, info)
    raw = served.takes_pixels
    size = preprocessing.image_size if raw else served.image_shape[1]
    if not isinstance(size, int):
        size = info.image_size
    _check_shape(name, served, size)
    if (path.parent / RECIPE).is_file() and _is_of_export(path):
        # The file of an exported student: count parameters on the network, since the file may pack
        # several weights into one value.
        data = read_provenance(path.parent).data
        image_shape = (data.channels, data.image_size, data.image_size)
        cost = count_cost(load_network(path.parent), path, image_shape)
    else:
        cost = _counted(name, path, None if raw else (1, info.channels, size, size))
    return EvaluatedModel(
        name=name,
        path=path,
        served=served,
        channels=info.channels,
        image_size=size,
        mean=None if raw else preprocessing.mean,
        std=None if raw else preprocessing.std,
        cost=cost,
    )


def _timm(name: str, info: DataInfo, threads: int, scratch: Path) -> EvaluatedModel:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = timm.create_model(name, pretrained=True, in_chans=info.channels).eval()
    except (RuntimeError, ValueError, OSError, KeyError, AssertionError) as error:
        raise BadInput(
            f"{name!r} must be a folder that `retort export` wrote, an ONNX file, or a pretrained "
            f"timm model: {shortened(error)}"
        ) from error
    config = cast(Mapping[str, Any], network.pretrained_cfg)
    size = int(config["input_size"][-1])
    shape = (info.channels, size, size)
    path = scratch / f"{len(list(scratch.iterdir()))}.onnx"
    export_onnx(network, path, image_shape=shape)
    # For grey images, timm adapts the first layer, but not the mean and the deviation.
    grey = info.channels == 1 != len(config["mean"])
    mean, std = ((sum(v) / len(v),) if grey else tuple(v) for v in (config["mean"], config["std"]))
    return EvaluatedModel(
        name=name,
        path=path,
        served=runtime_of_file(path).load(path, threads=threads),
        channels=info.channels,
        image_size=size,
        mean=mean,
        std=std,
        cost=count_cost(network, path, shape),
    )


def _check_classes(found: EvaluatedModel, info: DataInfo) -> None:
    """Check with one image that the model takes these images and has their number of classes."""
    size = found.image_size
    try:
        outputs = found.logits(torch.zeros(1, info.channels, size, size, dtype=torch.uint8))
    except ArtifactError as error:
        raise BadInput(
            f"{found.name} must take images of {info.channels} channels and {size} pixels: "
            f"{shortened(error)}"
        ) from error
    if outputs.shape != (1, len(info.classes)):
        raise BadInput(
            f"{found.name} must predict the data's {len(info.classes)} classes, but gives outputs "
            f"of shape {list(outputs.shape)}"
        )
    labels = _stated(found.served, LABELS)
    # A file that was made before the classes were renamed states their names in the data.
    if isinstance(labels, list) and tuple(labels) not in (info.classes, info.class_ids):
        raise BadInput(
            f"{found.name} must have the data's classes in their order, {', '.join(info.classes)}, "
            f"but has {', '.join(map(str, labels))}"
        )


def _stated(served: ServedModel, key: str) -> Any:
    """Return the file's metadata under one of our keys; None if it is missing or not JSON."""
    try:
        return parsed_json(served.metadata.get(key, "null"))
    except DamagedFile:
        return None


@dataclass(frozen=True, kw_only=True)
class _Preprocessing:
    """The preprocessing of a file's images, as the file states it, or else as the data have it."""

    image_size: Annotated[int, Field(ge=1, le=LARGEST_IMAGE)]
    mean: tuple[FiniteFloat, ...]
    std: tuple[Annotated[FiniteFloat, Field(gt=0)], ...]


_PREPROCESSING = TypeAdapter(_Preprocessing)


def _preprocessing(name: str, served: ServedModel, info: DataInfo) -> _Preprocessing:
    stated = _stated(served, PREPROCESSING)
    values = {"image_size": info.image_size, "mean": info.mean, "std": info.std}
    if isinstance(stated, dict):
        values |= {key: stated[key] for key in values if key in stated}
    try:
        found = _PREPROCESSING.validate_python(values)
        if not len(found.mean) == len(found.std) == info.channels:
            raise ValueError(f"it has {len(found.mean)} means for {info.channels} channels")
    except ValueError as error:
        raise BadInput(
            f"{name} must state a valid preprocessing in its metadata, under {PREPROCESSING!r}: "
            f"{shortened(error)}"
        ) from error
    return found


def _check_shape(name: str, served: ServedModel, size: int) -> None:
    """Raise BadInput if a file needs images or batches that would exhaust the memory."""
    batch = served.input_shape[0]
    if size > LARGEST_IMAGE or (isinstance(batch, int) and batch > _LARGEST_FIXED_BATCH):
        raise BadInput(
            f"{name} must take images of up to {LARGEST_IMAGE} pixels a side, in batches of up to "
            f"{_LARGEST_FIXED_BATCH}, but its input is {list(served.input_shape)}"
        )


def _is_of_export(path: Path) -> bool:
    """Return whether `retort export` wrote the file, for the student in its folder."""
    return path.name in {*_FORMAT_FILES, read_provenance(path.parent).served_by.file}


def _counted(name: str, path: Path, batch_shape: tuple[int, ...] | None) -> Cost:
    try:
        return count_onnx(path, batch_shape=batch_shape)
    # Some runtimes load files that are not ONNX.
    except (DecodeError, ValidationError, ValueError, LookupError, RuntimeError) as error:
        raise BadInput(f"{name} must be an ONNX file: {shortened(error)}") from error
