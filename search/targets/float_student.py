"""A trained float32 student, from which every runtime converts its files."""

from functools import cached_property
from pathlib import Path

from torch import nn

from search.objectives.counting import count_cost, count_operations
from search.records import Cost
from search.targets.onnx_export import export_onnx
from search.targets.target import Runtime
from spaces.axes.pruning import Pruning
from spaces.quantization.float32 import Float32


class FloatStudent:
    """A float32 network and its files, which are written at their first use.

    Args:
        network: on the CPU; it must not change any more.
        folder: a folder only for its files; created when it is needed.
        image_shape: channels, height, width.
        pruning: the method that pruned it.
    """

    def __init__(
        self,
        network: nn.Module,
        folder: Path,
        image_shape: tuple[int, int, int],
        *,
        pruning: Pruning,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.pruning = pruning
        self._folder = folder
        self._served: dict[str, Path] = {}

    @cached_property
    def onnx(self) -> Path:
        """Its float32 ONNX file: the input is [batch, *image_shape], the output logits.

        Raises:
            ArtifactError: the network can't be exported.
        """
        path = self._place("float.onnx")
        export_onnx(self.network, path, image_shape=self.image_shape)
        return path

    def cost_in(self, path: Path) -> Cost:
        """Return the counted cost of the student in the served file `path`, without latency."""
        return count_cost(self.network, path, self.image_shape, known=self._operations)

    @cached_property
    def _operations(self) -> Cost:
        """The counted operations; they are the same for all files of the network."""
        return count_operations(self.network, self.image_shape)

    def in_floats(self, runtime: Runtime) -> Path:
        """Return its float32 file for the runtime.

        Raises:
            ArtifactError, ValueError: as for `Runtime.make`.
        """
        if runtime.name not in self._served:
            path = self._place(runtime.file)
            runtime.make(self, path, quantization=Float32(), calibration=())
            self._served[runtime.name] = path
        return self._served[runtime.name]

    def _place(self, name: str) -> Path:
        self._folder.mkdir(exist_ok=True)
        return self._folder / name
