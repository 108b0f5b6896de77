"""What a teacher is prepared with: the data, the cache, and what is allowed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from search.data.dataset import Dataset
from search.files.filestore import FolderStore
from search.objectives.metric import Metric


@dataclass(frozen=True, kw_only=True)
class TeacherContext:
    """What a teacher is prepared with.

    Attributes:
        dataset: the data from which students learn.
        cache: a folder that outlives the run; teachers trained here are kept in it.
        seed: of a training here.
        device: where teachers compute.
        metric: the study's; a training here keeps the weights that score best by it.
        allow_code: whether a `factory:` may run.
        progress: is told in words about progress.
        features_alone: whether only the teachers' features are needed, so that teachers may have
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
