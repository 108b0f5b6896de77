"""Where a teacher is made ready: the data, the cache, and what is allowed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from search.data.dataset import Dataset
from search.files.filestore import FolderStore
from search.objectives.metric import Metric


@dataclass(frozen=True, kw_only=True)
class TeacherContext:
    """Where a teacher is made ready.

    Attributes:
        dataset: what students learn from.
        cache: outlives the run; teachers trained here are kept in it.
        seed: of a training here.
        device: where teachers compute.
        metric: the study's; a training here keeps the weights that do best by it.
        allow_code: whether a `factory:` may run.
        progress: told in words what is going on.
        features_alone: whether nothing but features is asked of teachers, which may then be of
            other classes.
    """

    dataset: Dataset
    cache: FolderStore
    seed: int
    device: str
    metric: Metric
    allow_code: bool
    progress: Callable[[str], None]
    features_alone: bool = False


def network_digest(network: nn.Module) -> str:
    digest = hashlib.sha256(repr(network).encode())
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
