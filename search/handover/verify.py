"""Whether an exported student is what it says: whole, the same in every form, as good, as fast."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import yaml

from search.artifacts import SERVED, load_network, read_provenance
from search.budget import stored_budget
from search.data.dataset import DataInfo, Dataset, normalize
from search.errors import ArtifactError, BadInput, DataError
from search.export import load
from search.handover.card import wilson_interval, with_interval
from search.handover.formats import Format
from search.handover.images import DEFAULT_CACHE, open_images
from search.handover.record import HandedOver, read_handover
from search.handover.writing import FLOAT32_METHOD
from search.measure import predictions
from search.predictions import PREDICTIONS, read_predictions
from search.runtime import Session
from search.timing import measure_latency
from search.units import format_milliseconds
from spaces.processor import processor_name

_PROBES = 64

TOLERANCES = {
    Format.FLOAT32: 1e-3,
    Format.FP16: 2e-2,
    Format.PT2: 1e-4,
    Format.OPENVINO: 2e-2,
    Format.TFLITE: 1e-3,
    Format.UINT8: 1e-4,
}
"""Largest difference of a logit, as a share of the largest logit. `uint8` and `openvino` are made
of model.onnx and compared with it; the others are floats, and compared with the float network."""

_SAME_FLOATS = 1e-3


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; `holds` is None where it could not be, or claims nothing."""

    name: str
    holds: bool | None
    found: str


def verify(
    folder: Path,
    *,
    data: Path | None = None,
    cache: Path = DEFAULT_CACHE,
    trust: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Looks at an exported student, one thing after the other.

    Args:
        folder: what `retort export` wrote.
        data: see `search.handover.images`.
        cache: folder of prepared data.
        trust: load model.pt2 too, whose loader can run code that a file holds.
        progress: told in a line what is going on.

    Raises:
        ArtifactError: the folder is damaged, or of a newer version: nothing else can be said of it.
    """
    told = read_handover(folder)
    info = read_provenance(folder).data
    yield Check(name="checksums", holds=True, found="every file is as it was written")
    try:
        dataset = open_images(data, told, cache=cache, progress=progress)
        reason = ""
    except (BadInput, DataError) as error:
        dataset, reason = None, str(error)
    images = _probes(dataset, info)
    yield from _Forms(folder, info, images, trust=trust).checks()
    yield from _graded(folder, told, dataset, info, reason)
    yield _weighed(folder, told)
    yield _timed(folder, told)


class _Forms:
    """Every form of the student, given the same images.

    Args:
        folder: the export.
        info: of the student's data.
        images: [images, channels, size, size], uint8.
        trust: whether model.pt2 may be loaded.
    """

    def __init__(self, folder: Path, info: DataInfo, images: torch.Tensor, *, trust: bool) -> None:
        self._folder = folder
        self._images = images
        self._normalised = normalize(images, info.mean, info.std)
        self._network = load_network(folder)
        self._trust = trust

    def checks(self) -> Iterator[Check]:
        floats = self._torch(self._network)
        served = Session(self._folder / SERVED, threads=1).predict(self._normalised.numpy())
        provenance = read_provenance(self._folder)
        if provenance.params["quantization"] == FLOAT32_METHOD:
            yield _compared("model.onnx", served, floats, "model.safetensors", _SAME_FLOATS)
        else:
            same = float((served.argmax(axis=1) == floats.argmax(axis=1)).mean())
            found = f"names the floats' class for {same:.1%} of {len(served)} images; no claim"
            yield Check(name="model.onnx", holds=None, found=found)
        yield _compared("search.export.load", self._loaded(), served, "model.onnx", _SAME_FLOATS)
        if not provenance.cuts:
            network = timm.create_model(f"local-dir:{self._folder.absolute()}", pretrained=True)
            equal = np.array_equal(self._torch(network.eval()), floats)
            found = "bit for bit model.safetensors" if equal else "differs from model.safetensors"
            yield Check(name="timm local-dir", holds=equal, found=found)
        for form in Format:
            if (self._folder / form.file).exists():
                yield self._form(form, floats=floats, served=served)

    def _form(self, form: Format, *, floats: np.ndarray, served: np.ndarray) -> Check:
        if form is Format.PT2 and not self._trust:
            found = "not loaded, since its loader can run code that it holds: pass --trust"
            return Check(name=form.file, holds=None, found=found)
        of_served = form in (Format.UINT8, Format.OPENVINO)
        try:
            logits = self._run(form)
        except ImportError as error:
            return Check(name=form.file, holds=None, found=f"not loaded: {error}")
        reference, name = (served, "model.onnx") if of_served else (floats, "model.safetensors")
        return _compared(form.file, logits, reference, name, TOLERANCES[form])

    def _run(self, form: Format) -> np.ndarray:
        path, normalised = self._folder / form.file, self._normalised.numpy()
        if form is Format.UINT8:
            pixels = self._images.permute(0, 2, 3, 1).contiguous().numpy()
            return Session(path, threads=1).predict(pixels)
        if form is Format.PT2:
            return self._torch(torch.export.load(path).module())
        if form is Format.OPENVINO:
            import openvino

            compiled = openvino.Core().compile_model(path, "CPU")
            return np.asarray(compiled(normalised)[0])
        if form is Format.TFLITE:
            return _tflite(path, normalised)
        return Session(path, threads=1).predict(normalised)

    def _loaded(self) -> np.ndarray:
        return self._torch(load(self._folder).model)

    def _torch(self, network: torch.nn.Module) -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = network(self._normalised).numpy()
        return logits


def _tflite(path: Path, normalised: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    logits = []
    for image in normalised:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(wanted["index"])[0])
    return np.stack(logits)


def _compared(
    name: str, logits: np.ndarray, reference: np.ndarray, of: str, tolerance: float
) -> Check:
    difference = float(np.abs(logits - reference).max() / np.abs(reference).max())
    return Check(
        name=name,
        holds=difference <= tolerance,
        found=f"logits within {difference:.1e} of the largest, of {of}'s; {tolerance:.0e} allowed",
    )


def _probes(dataset: Dataset | None, info: DataInfo) -> torch.Tensor:
    """Test images; noise where there are none, or they are of another shape."""
    shape = (info.channels, info.image_size, info.image_size)
    if dataset is not None and len(dataset.test):
        images = next(iter(dataset.test.batches(_PROBES))).images
        if tuple(images.shape[1:]) == shape:
            return images
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (_PROBES, *shape), dtype=torch.uint8, generator=noise)


def _graded(
    folder: Path, told: HandedOver, dataset: Dataset | None, info: DataInfo, reason: str
) -> Iterator[Check]:
    """The test part again, against the model card and image by image."""
    if dataset is None:
        yield Check(name="test part", holds=None, found=f"not measured: {reason}")
        return
    if dataset.info.classes != info.classes or dataset.info.channels != info.channels:
        found = "not measured: these data have other classes or channels than the student's"
        yield Check(name="test part", holds=False, found=found)
        return
    threads = int(told.measured.hardware.get("threads", 1))
    again = predictions(Session(folder / SERVED, threads=threads), dataset.test, dataset)
    claimed, count = _claimed(folder), len(dataset.test)
    text = f"accuracy {with_interval(again.accuracy, count)} on {count:,} images"
    if dataset.info.digest != info.digest:
        text += "; not the images that it was tested on, so nothing is claimed"
        yield Check(name="test part", holds=None, found=text)
        return
    if claimed is None:
        yield Check(name="test part", holds=None, found=f"{text}; the card claims none")
        return
    low, high = wilson_interval(claimed, count)
    held = low <= again.accuracy <= high
    yield Check(name="test part", holds=held, found=f"{text}; {claimed:.2%} on the card")
    kept = read_predictions(folder / PREDICTIONS).get("test")
    if kept is not None:
        other = len(again.disagreements(kept))
        text = f"{other} of {count:,} images are named otherwise than when it was measured"
        # Another processor may round otherwise: then its accuracy is what counts.
        alike = told.measured.hardware.get("processor") == processor_name()
        yield Check(name="predictions", holds=other == 0 if alike else None, found=text)


def _claimed(folder: Path) -> float | None:
    """The accuracy in the model card's head."""
    try:
        head: Any = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
        results = head["model-index"][0]["results"][0]["metrics"]
        return next(float(each["value"]) for each in results if each["type"] == "accuracy")
    except KeyError:
        return None
    except (OSError, ValueError, LookupError, TypeError, StopIteration, yaml.YAMLError) as error:
        raise ArtifactError(f"the head of {folder / 'README.md'} can't be read: {error}") from error


def _weighed(folder: Path, told: HandedOver) -> Check:
    size, said = (folder / SERVED).stat().st_size, told.measured.cost.size_bytes
    limit = stored_budget(told.config).size
    within = "" if limit is None else f"; the budget allows {limit:,}"
    held = size == said and (limit is None or size <= limit)
    return Check(name="bytes", holds=held, found=f"{size:,}, {said:,} when measured{within}")


def _timed(folder: Path, told: HandedOver) -> Check:
    threads = int(told.measured.hardware.get("threads", 1))
    (latency,) = measure_latency([Session(folder / SERVED, threads=threads)])
    text = f"{format_milliseconds(latency.median_ms)} here, {threads} thread(s)"
    if (said := told.measured.cost.latency_ms) is not None:
        where = told.measured.hardware.get("processor", "another machine")
        text += f"; {format_milliseconds(said)} when measured, on {where}"
    limit = stored_budget(told.config).latency
    if limit is None:
        return Check(name="latency", holds=None, found=f"{text}; no budget limits it")
    held = latency.median_ms <= limit
    kept = "holds here" if held else "does not hold here"
    return Check(name="latency", holds=held, found=f"{text}; {format_milliseconds(limit)} {kept}")
