"""What serves students: the contract of every runtime, and of where it runs.

A runtime is one file: a class here in `search/targets`, with a line in the table of
`search.targets.registry`, or a class in an installed plugin. The agent on a small board imports
that file too, so libraries that only make files are imported where they are used.
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
    """Where students are served and timed, and by which runtime: a study file's `budget.target`."""

    @property
    def runtime(self) -> str:
        """The runtime's name in the table."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`, on the machine that serves."""

    @property
    def device_here(self) -> str:
        """The device on which a student predicts on this machine, whatever machine times it."""

    @property
    def threads(self) -> int:
        """The number of threads that serve one image."""

    @property
    def agent(self) -> str | None:
        """The address of the agent that times; None where there is none."""

    @property
    def resource(self) -> str | None:
        """The Ray resource of the node that times; None where there is none."""


class ServedModel(ABC):
    """A file that a runtime has loaded.

    A student takes normalised images. A foreign file may want other inputs: its description of them
    is read before it is given any.
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
    def metadata(self) -> Mapping[str, str]:
        """The file's own metadata; see `Runtime.annotate`."""
        return {}

    @abstractmethod
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute logits [batch, classes], float32, of [batch, channels, height, width], float32.

        Raises:
            ArtifactError: they can't be computed of such images, or not at all.
        """


class Runtime(ABC):
    """A library that serves students: the file it loads, and how to make and run that file.

    It has no state, and is constructed without arguments.

    Attributes:
        name: the name in study files, stores and exported folders, which never changes.
        title: its name for people.
        file: the name of the served file in an artifact or an exported folder; its ending
            distinguishes files of this runtime from others. This one file holds all that is served.
        library: the Hugging Face hub's name of the library that loads the file.
        loading_code: lines of Python that classify an image with this runtime alone; they hold
            `{file}`, and of its images `{mode}`, `{size}`, `{mean}` and `{std}`. None where there
            are none to show.
        file_version: bump it when the runtime makes another file of the same student: costs that
            were measured before are then no longer valid.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    file: ClassVar[str]
    library: ClassVar[str]
    loading_code: ClassVar[str | None] = None
    file_version: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        """The ending of its files, such as `.onnx`."""
        return PurePath(self.file).suffix

    def describe(self) -> str:
        """Return its name and version, under which costs are kept."""
        return f"{self.name} {self.version()}"

    @abstractmethod
    def version(self) -> str:
        """Return the release that is installed here."""

    def check_device(self, device: str) -> None:
        """Check that it serves on the device, `cpu` or `cuda`, of this machine.

        Raises:
            ArtifactError: what is installed does not.
        """
        if device != "cpu":
            raise ArtifactError(
                f"{self.title} serves on the processor alone, but got device {device}: set "
                "budget.target.device: cpu"
            )

    @abstractmethod
    def conflict(self, quantization: Quantization) -> str | None:
        """Return why it serves no student in this number format; None where it does."""

    def make(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        """Make the file that is served.

        It is as small as it can be shipped: zeros that pruning left take no room where the format
        allows that.

        Args:
            student: trained and pruned; its own files are not changed.
            destination: a path in an existing folder, with the ending of `file`.
            quantization: the number format.
            calibration: normalised images, [batch, channels, height, width], float32.

        Raises:
            ArtifactError: the network can't be expressed.
            ValueError: it can't be converted, or is of a number format that is not served.
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
        """Write the file, as `make`, in a number format that is served.

        The file must hold at least `quantization.least_bits` for each weight, unless pruning leaves
        zeros: students that can't fit are refused by that bound.
        """

    @abstractmethod
    def load(self, path: Path, *, threads: int, device: str = "cpu") -> ServedModel:
        """Load the file, ready to predict.

        Raises:
            ArtifactError: it can't be loaded, or not on the device; names the file.
            TargetError: the device does not start.
        """

    def annotate(self, path: Path, said: Mapping[str, str]) -> None:
        """Add to the file's own metadata, and change nothing else in the file.

        Formats without room for metadata are not changed.
        """
        del path, said

    def annotation_bytes(self, said: Mapping[str, str]) -> int:
        """Return by how many bytes `annotate` lets a file grow."""
        del said
        return 0
