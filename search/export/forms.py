"""The check that every form of an exported student gives the same results."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch

from search.data.dataset import DataInfo, Dataset, normalize
from search.errors import shortened
from search.evaluation.artifact import RECIPE, WEIGHTS, Provenance, load_network, read_provenance
from search.export.checks import Check
from search.export.exporting import load
from search.export.formats import ExportFormat
from search.export.timm_config import TIMM_CONFIG, strange_keys
from search.targets.registry import runtime_of_file
from search.targets.target import Runtime

_PROBES = 64

TOLERANCES = {
    ExportFormat.FLOAT32: 1e-3,
    ExportFormat.FP16: 2e-2,
    ExportFormat.PT2: 1e-4,
    ExportFormat.OPENVINO: 2e-2,
    ExportFormat.TFLITE: 1e-3,
    ExportFormat.UINT8: 1e-4,
}
"""Largest difference of a logit, as a share of the largest logit.

`uint8` and `openvino` are made of the measured file and compared with it; the others are floats,
and compared with the float network.
"""

_SAME_FLOATS = 1e-3


class ExportedFormats:
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
        self._provenance = read_provenance(folder)
        self._runtime = self._provenance.served_by
        self._trust = trust

    def checks(self) -> Iterator[Check]:
        """Check each existing form against the model that it was made from."""
        floats, name = self._torch(self._network), self._runtime.file
        served = _predicted(self._runtime, self._folder / name, self._normalised)
        provenance = self._provenance
        if provenance.is_float:
            yield _compared(name, served, floats, WEIGHTS, _SAME_FLOATS)
        else:
            same = float((served.argmax(axis=1) == floats.argmax(axis=1)).mean())
            found = f"names the class of {WEIGHTS} for {same:.1%} of {len(served)} images"
            yield Check(name=name, holds=None, found=found)
        yield _compared("retort", self._loaded(), served, name, _SAME_FLOATS)
        if provenance.is_timms_own:
            yield self._by_timm(provenance, floats)
        for form in ExportFormat:
            if (self._folder / form.file).exists():
                yield self._form(form, floats=floats, served=served)

    def _by_timm(self, provenance: Provenance, floats: np.ndarray) -> Check:
        if strange := strange_keys(self._folder, self._network, provenance):
            found = f"not loaded: {TIMM_CONFIG} says otherwise than {RECIPE} in {strange[0]!r:.80}"
            return Check(name="timm", holds=False, found=found)
        network = timm.create_model(f"local-dir:{self._folder.absolute()}", pretrained=True)
        equal = np.array_equal(self._torch(network.eval()), floats)
        found = (
            "the logits of model.safetensors, bit for bit"
            if equal
            else "other logits than model.safetensors has"
        )
        return Check(name="timm", holds=equal, found=found)

    def _form(self, form: ExportFormat, *, floats: np.ndarray, served: np.ndarray) -> Check:
        if form is ExportFormat.PT2 and not self._trust:
            found = "not loaded, since its loader can run code that it holds: pass --trust"
            return Check(name=form.file, holds=None, found=found)
        of_served = form in (ExportFormat.UINT8, ExportFormat.OPENVINO)
        try:
            logits = self._run(form)
        except ImportError as error:
            return Check(name=form.file, holds=None, found=f"not loaded: {error}")
        except Exception as error:  # noqa: BLE001  each format's loader raises errors of its own
            found = f"can't be run: {shortened(error)}"
            return Check(name=form.file, holds=False, found=found)
        reference, name = (served, self._runtime.file) if of_served else (floats, WEIGHTS)
        return _compared(form.file, logits, reference, name, TOLERANCES[form])

    def _run(self, form: ExportFormat) -> np.ndarray:
        path, normalised = self._folder / form.file, self._normalised.numpy()
        if form is ExportFormat.UINT8:
            pixels = self._images.permute(0, 2, 3, 1).contiguous()
            return _predicted(runtime_of_file(path), path, pixels)
        if form is ExportFormat.PT2:
            return self._torch(torch.export.load(path).module())
        if form is ExportFormat.OPENVINO:
            import openvino

            compiled = openvino.Core().compile_model(path, "CPU")
            return np.asarray(compiled(normalised)[0])
        if form is ExportFormat.TFLITE:
            return _tflite(path, normalised)
        return _predicted(runtime_of_file(path), path, self._normalised)

    def _loaded(self) -> np.ndarray:
        return self._torch(load(self._folder).model)

    def _torch(self, network: torch.nn.Module) -> np.ndarray:
        with torch.no_grad():
            logits: np.ndarray = network(self._normalised).numpy()
        return logits


def _predicted(runtime: Runtime, path: Path, images: torch.Tensor) -> np.ndarray:
    return runtime.load(path, threads=1).predict(images.numpy())


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
    found = (
        f"the logits of {of}, bit for bit"
        if not difference
        else f"within {difference:.3%} of the largest logit of {of}; {tolerance:.2%} allowed"
    )
    return Check(name=name, holds=difference <= tolerance, found=found)


def probes(dataset: Dataset | None, info: DataInfo) -> torch.Tensor:
    """Return test images; noise where there are none, or they have another shape."""
    shape = (info.channels, info.image_size, info.image_size)
    if dataset is not None and len(dataset.test):
        images = next(iter(dataset.test.batches(_PROBES))).images
        if tuple(images.shape[1:]) == shape:
            return images
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (_PROBES, *shape), dtype=torch.uint8, generator=noise)
