"""The context in which teachers are prepared, and digests of networks."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from search.data.dataset import Dataset
from search.files.filestore import FolderStore
from search.objectives.metric import Metric
from search.progress import Step, no_step


@dataclass(frozen=True, kw_only=True)
class TeacherContext:
    """The context in which a teacher is prepared.

    Attributes:
        dataset: the data on which students are trained.
        cache: the cache folder, which stores trained teachers for later runs.
        seed: the seed for training a teacher.
        device: the device on which teachers run.
        metric: the study's metric; it selects the best weights of a trained teacher.
        allow_code: whether a teacher's factory may run its code.
        progress: receives lines about the progress.
        step: receives what the preparation does now.
        features_alone: whether the study uses only the teachers' features, so that a teacher may
            have other classes than the data.
    """

    dataset: Dataset
    cache: FolderStore
    seed: int
    device: str
    metric: Metric
    allow_code: bool
    progress: Callable[[str], None]
    features_alone: bool = False
    step: Step = no_step


def network_digest(network: nn.Module) -> str:
    digest = hashlib.sha256(repr(network).encode())
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
