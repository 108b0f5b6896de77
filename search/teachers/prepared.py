"""A teacher that is ready, and its digest."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from search.data.dataset import DataInfo
from search.teachers.adapters import Ensemble, own_size
from search.teachers.setting import network_digest
from spaces.counting import count_parameters

# The maximum number of parameters of a teacher that is copied in double precision, 8 bytes each.
_MAX_COPIED = 500_000_000


@dataclass(frozen=True)
class Teacher:
    """A network or an ensemble that takes the students' normalised images.

    Attributes:
        name: the name for people.
        network: returns logits [batch, classes]; in evaluation mode, on `device`.
        digest: the hexadecimal SHA-256 of its weights, code and outputs.
        device: the device on which it runs.
    """

    name: str
    network: nn.Module
    digest: str
    device: str

    @property
    def members(self) -> tuple[nn.Module, ...]:
        """The member networks, in the order in which the study names them."""
        if isinstance(self.network, Ensemble):
            return tuple(self.network.members)
        return (self.network,)

    @property
    def image_size(self) -> int | None:
        """The side of the images that all members take without resizing; None if they differ."""
        sizes = {own_size(member) for member in self.members}
        return sizes.pop() if len(sizes) == 1 else None


def teacher_digest(network: nn.Module, info: DataInfo, *, code: Sequence[str], device: str) -> str:
    """Return the digest of the weights, of the members' code, and of the outputs for a probe.

    The code of an installed module is not read: only the probe's outputs identify it.
    """
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, info.channels, info.image_size, info.image_size, generator=generator)
    outputs = _portable_outputs(network, probe, device=device)
    known = network_digest(network) + "".join(code)
    return hashlib.sha256(known.encode() + outputs.tobytes()).hexdigest()


@torch.inference_mode()
def _portable_outputs(network: nn.Module, probe: Tensor, *, device: str) -> np.ndarray:
    """Return the outputs for the probe, rounded so that they are equal on all machines.

    In single precision, processors differ in the last digits, and this difference sometimes changes
    a rounded number. In double precision it almost never does.
    """
    exact = _in_double_precision(network, probe)
    outputs = network(probe.to(device)).cpu().float() if exact is None else exact
    rounded: np.ndarray = outputs.numpy().round(1 if exact is None else 2)
    return rounded + 0.0  # turns -0 into 0


def _in_double_precision(network: nn.Module, probe: Tensor) -> Tensor | None:
    """Return the outputs of a copy in double precision, on the CPU.

    Returns:
        The outputs; None if the network is too large, or fails in double precision.
    """
    if count_parameters(network) > _MAX_COPIED:
        return None
    ordinary = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        outputs: Tensor = deepcopy(network).cpu().double()(probe.double())
    except Exception:  # noqa: BLE001  the network may be the user's own code
        return None
    finally:
        torch.set_default_dtype(ordinary)
    return outputs
