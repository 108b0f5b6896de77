"""The cache of the teachers' logits for every view of every training image.

The logits of the original image are a wrong target for an augmented image (Beyer et al. 2021,
arXiv:2106.05237). So the cache contains logits for each seeded view, and students are trained on
the same views. It contains logits, not predictions, because each recipe chooses its own
temperature.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from search.data.dataset import Dataset, normalize
from search.data.joined import for_learning
from search.data.views import View
from search.files.arrays import mapped
from search.files.filestore import FolderStore
from search.progress import Step, no_step
from search.teachers import adapters
from search.teachers.teacher import Teacher
from search.versions import TRAINING_LIBRARIES, Versions, image_stages

_FILE = "logits.npy"
_BATCH = 256
_BLOCK = 1 << 20  # bytes
# Bump it when the content of the file changes, or its order.
VERSION = 1


@dataclass(frozen=True)
class CachedLogits:
    """Logits [teachers, views, images, classes], float16, mapped into memory from a file."""

    logits: np.ndarray

    def of(self, view: View, indices: Tensor) -> Tensor:
        """Return the images' logits, [teachers, batch, classes], float32, on the CPU."""
        return torch.from_numpy(self.logits[:, view.number, indices.numpy()].astype(np.float32))


def soft_targets(
    teacher: Teacher,
    dataset: Dataset,
    views: Sequence[View],
    *,
    cache: FolderStore,
    progress: Callable[[str], None],
    step: Step = no_step,
) -> Path:
    """Return the folder with the teachers' logits; compute them unless they are cached."""
    folder_store, name = cache / "soft_targets", logits_key(teacher, dataset, views)
    with folder_store.making(name, progress):
        if folder_store.kept(name) is None:
            with folder_store.writing(name) as temporary:
                _compute(temporary / _FILE, teacher, dataset, views, progress=progress, step=step)
    return folder_store.folder / name


def logits_key(teacher: Teacher, dataset: Dataset, views: Sequence[View]) -> str:
    """Return the folder name of the logits in the cache: a hash of all their inputs."""
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        stages=image_stages() | {"adapt": adapters.VERSION, "logits": VERSION},
    )
    # The folder name too: for a streamed data set, the same view crops images differently.
    data = [dataset.info.digest, dataset.folder.name, repr(views)]
    return versions.key(teacher.digest, *data)[:24]


def _compute(
    file: Path,
    teacher: Teacher,
    dataset: Dataset,
    views: Sequence[View],
    *,
    progress: Callable[[str], None],
    step: Step,
) -> None:
    learning_data = for_learning(dataset, by_labels=False)
    images, classes = len(learning_data.training), len(dataset.info.classes)
    shape = len(teacher.members), len(views), images, classes
    logits = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    _reserve(file)
    for number, view in enumerate(views):
        progress(f"teacher's soft targets: view {number + 1} of {len(views)}")
        what = f"teacher's logits: view {number + 1} of {len(views)}"
        for done in _fill(logits[:, number], teacher, learning_data, view):
            step(f"{what}, {done:,} of {images:,} images")
    logits.flush()


def _reserve(file: Path) -> None:
    """Reserve the disk space of the whole file: on a full disk, a mapped write kills the process.

    Raises:
        OSError: the disk has too little space.
    """
    with file.open("r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
            return
        # macOS lacks posix_fallocate. Overwrite the content with itself: the header and zeros.
        while block := opened.read(_BLOCK):
            opened.seek(-len(block), os.SEEK_CUR)
            opened.write(block)


def open_soft_targets(folder: Path) -> CachedLogits:
    """Map the logits in `folder` into memory, in milliseconds; processes share the pages."""
    return CachedLogits(mapped(folder / _FILE))


@torch.inference_mode()
def _fill(logits: np.ndarray, teacher: Teacher, dataset: Dataset, view: View) -> Iterator[int]:
    """Compute the logits of one view; yield the number of images after each batch."""
    limit, done = float(np.finfo(np.float16).max), 0
    for batch in dataset.training.batches(_BATCH, view=view, device=teacher.device):
        images = normalize(batch.images, dataset.info.mean, dataset.info.std)
        outputs = torch.stack([member(images).float() for member in teacher.members])
        logits[:, batch.indices.numpy()] = outputs.clamp(-limit, limit).cpu().numpy()
        done += len(batch.indices)
        yield done
