"""The teachers' logits for every view of every image to learn from: computed once, shared by all.

Logits of the clean image under an augmented input teach the wrong thing (Beyer et al. 2021,
arXiv:2106.05237): each seeded view has logits of its own, and students see the same views. Raw
logits are kept, so that the temperature and the weight stay free.
"""

import os
from collections.abc import Callable, Sequence
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
from search.teachers import adapters
from search.teachers.teacher import Teacher
from search.versions import TRAINING_LIBRARIES, Versions, image_stages

_FILE = "logits.npy"
_BATCH = 256
_BLOCK = 1 << 20  # bytes
# Bump it when the file holds something else, or in another order.
VERSION = 1


@dataclass(frozen=True)
class CachedLogits:
    """Logits [teachers, views, images, classes] in half precision, mapped from a file."""

    logits: np.ndarray

    def of(self, view: View, indices: Tensor) -> Tensor:
        """Logits [teachers, batch, classes], float32, of the images `indices` (on the CPU)."""
        return torch.from_numpy(self.logits[:, view.number, indices.numpy()].astype(np.float32))


def soft_targets(
    teacher: Teacher,
    dataset: Dataset,
    views: Sequence[View],
    *,
    cache: FolderStore,
    progress: Callable[[str], None],
) -> Path:
    """The folder of the logits of each of its members, computed unless it is there and whole."""
    folder_store, name = cache / "soft_targets", logits_key(teacher, dataset, views)
    with folder_store.making(name, progress):
        if folder_store.kept(name) is None:
            with folder_store.writing(name) as temporary:
                _compute(temporary / _FILE, teacher, dataset, views, progress=progress)
    return folder_store.folder / name


def logits_key(teacher: Teacher, dataset: Dataset, views: Sequence[View]) -> str:
    """The name of the logits' folder: a hash of what they follow from."""
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        stages=image_stages() | {"adapt": adapters.VERSION, "logits": VERSION},
    )
    # The folder too: a view is cut otherwise where the data set is streamed.
    seen = [dataset.info.digest, dataset.folder.name, repr(views)]
    return versions.key(teacher.digest, *seen)[:24]


def _compute(
    file: Path,
    teacher: Teacher,
    dataset: Dataset,
    views: Sequence[View],
    *,
    progress: Callable[[str], None],
) -> None:
    learned = for_learning(dataset, by_labels=False)
    images, classes = len(learned.training), len(dataset.info.classes)
    shape = len(teacher.members), len(views), images, classes
    logits = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    _reserve(file)
    for number, view in enumerate(views):
        progress(f"teacher's soft targets: view {number + 1} of {len(views)}")
        _fill(logits[:, number], teacher, learned, view)
    logits.flush()


def _reserve(file: Path) -> None:
    """Takes the room for the whole file now: a mapped write that finds none ends the process.

    Raises:
        OSError: there is not so much.
    """
    with file.open("r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
            return
        # Not on macOS. What stands there is written over itself: the header, and zeros.
        while block := opened.read(_BLOCK):
            opened.seek(-len(block), os.SEEK_CUR)
            opened.write(block)


def open_soft_targets(folder: Path) -> CachedLogits:
    """The logits in `folder`, mapped: opened in milliseconds, its pages shared by processes."""
    return CachedLogits(mapped(folder / _FILE))


@torch.inference_mode()
def _fill(logits: np.ndarray, teacher: Teacher, dataset: Dataset, view: View) -> None:
    limit = float(np.finfo(np.float16).max)
    for batch in dataset.training.batches(_BATCH, view=view, device=teacher.device):
        images = normalize(batch.images, dataset.info.mean, dataset.info.std)
        outputs = torch.stack([member(images).float() for member in teacher.members])
        logits[:, batch.indices.numpy()] = outputs.clamp(-limit, limit).cpu().numpy()
