"""The interfaces of runtimes and targets.

A runtime is a class in one file: either in `search/targets`, with an entry in the table of
`search.targets.registry`, or in an installed plugin. The agent on a small board imports that file
too. So libraries that are only needed to write served files must be imported inside functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar, Protocol

from search.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np

    from search.targets.float_student import FloatStudent
    from spaces.axes.quantization import Quantization


class Target(Protocol):
    """The machine, runtime and threads that serve students: a study file's `budget.target`."""

    @property
    def runtime(self) -> str:
        """The runtime's name in the registry."""

    @property
    def device(self) -> str:
        """The device on the machine that serves: `cpu` or `cuda`."""

    @property
    def device_here(self) -> str:
        """The device for predictions on this machine; another machine may measure latency."""

    @property
    def threads(self) -> int:
        """The number of threads that serve one image."""

    @property
    def agent(self) -> str | None:
        """The address of the agent that measures latency; None without an agent."""

    @property
    def resource(self) -> str | None:
        """The Ray resource of the node that measures latency; None without one."""


class ServedModel(ABC):
    """A file that a runtime has loaded.

    Students take normalised images. Other files may take other inputs, so a caller must read the
    properties below before it calls `predict`.
    """

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its input."""

    @property
    def input_shape(self) -> tuple[int | str | None, ...]:
        """Shape of its input, the batch first; a free dimension has a name or None."""
        return None, *self.image_shape

    @property
    def takes_pixels(self) -> bool:
        """Whether the file includes its preprocessing: [batch, height, width, channels], uint8."""
        return False

    @property
    def computes_in_caller(self) -> bool:
        """Whether the thread that calls `predict` computes, or polls, until it returns.

        If so, the processor time of that thread shows whether other processes disturbed a run.
        """
        return False

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's own metadata; see `Runtime.annotate`."""
        return {}

    @abstractmethod
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute logits [batch, classes], float32, of [batch, channels, height, width], float32.

        Raises:
            ArtifactError: the file can't be run, or not with such images.
        """


class Runtime(ABC):
    """A library that serves students: how to write, load and run its file.

    A runtime has no state, and its class has no constructor arguments.

    Attributes:
        name: the name in study files, stores and exported folders. It must never change.
        title: the name that people read.
        file: the name of the served file in an artifact or an exported folder. The runtime must
            need no other file, and no other runtime may have the same suffix.
        library: the Hugging Face hub's name for the library that loads the file.
        loading_code: Python code that classifies an image with only this runtime and the folder's
            preprocess.py, as a format string with `{file}`. None if there is none.
        file_version: bump it when the runtime writes another file for the same student. Costs that
            were measured before are then invalid.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    file: ClassVar[str]
    library: ClassVar[str]
    loading_code: ClassVar[str | None] = None
    file_version: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        """The suffix of its files, such as `.onnx`."""
        return PurePath(self.file).suffix

    def describe(self) -> str:
        """Return its name and version, which identify stored costs."""
        return f"{self.name} {self.version()}"

    @abstractmethod
    def version(self) -> str:
        """Return the installed version of the library."""

    def check_device(self, device: str) -> None:
        """Check that it can serve on this machine's device `cpu` or `cuda`.

        Raises:
            ArtifactError: the installed library can't.
        """
        if device != "cpu":
            raise ArtifactError(
                f"the device must be cpu, since {self.title} serves only on CPUs, but is {device}: "
                "set budget.target.device: cpu"
            )

    @abstractmethod
    def conflict(self, quantization: Quantization) -> str | None:
        """Return the reason why it can't serve this number format; None if it can."""

    def make(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        """Write the file that is served, as small as possible.

        If the file format supports it, zeros that pruning leaves are not stored.

        Args:
            student: trained and pruned; its own files are not changed.
            destination: a path in an existing folder, with the suffix of `file`.
            quantization: the number format.
            calibration: normalised images, [batch, channels, height, width], float32.

        Raises:
            ArtifactError: the file format can't represent the network.
            ValueError: the network can't be converted to the number format, or the runtime does
                not serve the format.
        """
        if reason := self.conflict(quantization):
            raise ValueError(f"quantization.{quantization.name}: {self.title}: {reason}")
        self.write(student, destination, quantization=quantization, calibration=calibration)

    @abstractmethod
    def write(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        """Write the file, as for `make`, in a number format that the runtime serves.

        The file must contain at least `quantization.least_bits` for each weight, unless pruning
        leaves zeros. The search uses this bound to reject recipes that exceed a size limit.
        """

    @abstractmethod
    def load(self, path: Path, *, threads: int, device: str = "cpu") -> ServedModel:
        """Load the file, ready to predict.

        Raises:
            ArtifactError: the file can't be loaded, or not on the device; names the file.
            TargetError: the device does not start.
        """

    def least_version(self, path: Path) -> str | None:
        """Return the oldest version of the library that loads the file; None if it is unknown."""
        del path
        return None

    def annotate(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Add metadata to the file, and change nothing else in it.

        A runtime whose file format has no metadata leaves the file unchanged.
        """
        del path, metadata

    def annotation_bytes(self, metadata: Mapping[str, str]) -> int:
        """Return the number of bytes that `annotate` adds to a file."""
        del metadata
        return 0
