"""Checks that the files of an exported student in all formats predict the same."""

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
from search.export.timm_config import TIMM_CONFIG, differing_keys
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
"""The largest allowed difference of a logit, as a fraction of the largest logit.

`uint8` and `openvino` are converted from the measured file and compared with it. The other formats
are converted from the float32 network and compared with that.
"""

_FLOAT32_TOLERANCE = 1e-3


class ExportedFormats:
    """The files of a student in all formats, compared on the same images.

    Args:
        folder: the export.
        info: the student's data.
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
        """Compare each existing file with the model that it was converted from."""
        float_logits, name = self._torch(self._network), self._runtime.file
        served = _predicted(self._runtime, self._folder / name, self._normalised)
        provenance = self._provenance
        if provenance.is_float:
            yield _compared(name, served, float_logits, WEIGHTS, _FLOAT32_TOLERANCE)
        else:
            same = float((served.argmax(axis=1) == float_logits.argmax(axis=1)).mean())
            found = f"predicts the same class as {WEIGHTS} for {same:.1%} of {len(served)} images"
            yield Check(name=name, holds=None, found=found)
        yield _compared("retort", self._loaded(), served, name, _FLOAT32_TOLERANCE)
        if provenance.is_timms_own:
            yield self._timm_check(provenance, float_logits)
        for each in ExportFormat:
            if (self._folder / each.file).exists():
                yield self._format_check(each, float_logits=float_logits, served=served)

    def _timm_check(self, provenance: Provenance, float_logits: np.ndarray) -> Check:
        if differing := differing_keys(self._folder, self._network, provenance):
            found = (
                f"not loaded: {TIMM_CONFIG} contradicts {RECIPE} at the key {differing[0]!r:.80}"
            )
            return Check(name="timm", holds=False, found=found)
        network = timm.create_model(f"local-dir:{self._folder.absolute()}", pretrained=True)
        equal = np.array_equal(self._torch(network.eval()), float_logits)
        found = (
            "gives the logits of model.safetensors, bit for bit"
            if equal
            else "gives other logits than model.safetensors"
        )
        return Check(name="timm", holds=equal, found=found)

    def _format_check(
        self, export_format: ExportFormat, *, float_logits: np.ndarray, served: np.ndarray
    ) -> Check:
        if export_format is ExportFormat.PT2 and not self._trust:
            found = "not loaded, since loading can run code that the file contains: pass --trust"
            return Check(name=export_format.file, holds=None, found=found)
        from_served = export_format in (ExportFormat.UINT8, ExportFormat.OPENVINO)
        try:
            logits = self._run(export_format)
        except ImportError as error:
            return Check(name=export_format.file, holds=None, found=f"not loaded: {error}")
        except Exception as error:  # noqa: BLE001  each format's loader has its own exception types
            found = f"can't be run: {shortened(error)}"
            return Check(name=export_format.file, holds=False, found=found)
        reference, name = (served, self._runtime.file) if from_served else (float_logits, WEIGHTS)
        return _compared(export_format.file, logits, reference, name, TOLERANCES[export_format])

    def _run(self, export_format: ExportFormat) -> np.ndarray:
        path, normalised = self._folder / export_format.file, self._normalised.numpy()
        if export_format is ExportFormat.UINT8:
            pixels = self._images.permute(0, 2, 3, 1).contiguous()
            return _predicted(runtime_of_file(path), path, pixels)
        if export_format is ExportFormat.PT2:
            return self._torch(torch.export.load(path).module())
        if export_format is ExportFormat.OPENVINO:
            import openvino

            compiled = openvino.Core().compile_model(path, "CPU")
            return np.asarray(compiled(normalised)[0])
        if export_format is ExportFormat.TFLITE:
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
    image_input, logits_output = (
        interpreter.get_input_details()[0],
        interpreter.get_output_details()[0],
    )
    logits = []
    for image in normalised:
        interpreter.set_tensor(image_input["index"], image[None])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(logits_output["index"])[0])
    return np.stack(logits)


def _compared(
    name: str, logits: np.ndarray, reference: np.ndarray, of: str, tolerance: float
) -> Check:
    difference = float(np.abs(logits - reference).max() / np.abs(reference).max())
    found = (
        f"gives the logits of {of}, bit for bit"
        if not difference
        else f"within {difference:.3%} of the largest logit of {of}; {tolerance:.2%} allowed"
    )
    return Check(name=name, holds=difference <= tolerance, found=found)


def probes(dataset: Dataset | None, info: DataInfo) -> torch.Tensor:
    """Return test images, or random pixels if there are no test images of the student's shape."""
    shape = (info.channels, info.image_size, info.image_size)
    if dataset is not None and len(dataset.test):
        images = next(iter(dataset.test.batches(_PROBES))).images
        if tuple(images.shape[1:]) == shape:
            return images
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (_PROBES, *shape), dtype=torch.uint8, generator=noise)
