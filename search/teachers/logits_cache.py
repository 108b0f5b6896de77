"""The teachers' logits for every view of every image to learn from: computed once, shared by all.

Logits of the clean image for an augmented input are the wrong target (Beyer et al. 2021,
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
        """Return logits [teachers, batch, classes], float32, of images `indices` (on the CPU)."""
        return torch.from_numpy(self.logits[:, view.number, indices.numpy()].astype(np.float32))


def soft_targets(
    teacher: Teacher,
    dataset: Dataset,
    views: Sequence[View],
    *,
    cache: FolderStore,
    progress: Callable[[str], None],
) -> Path:
    """Return the folder of the members' logits, computed unless it is there and whole."""
    folder_store, name = cache / "soft_targets", logits_key(teacher, dataset, views)
    with folder_store.making(name, progress):
        if folder_store.kept(name) is None:
            with folder_store.writing(name) as temporary:
                _compute(temporary / _FILE, teacher, dataset, views, progress=progress)
    return folder_store.folder / name


def logits_key(teacher: Teacher, dataset: Dataset, views: Sequence[View]) -> str:
    """Return the name of the logits' folder: a hash of everything that the logits depend on."""
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        stages=image_stages() | {"adapt": adapters.VERSION, "logits": VERSION},
    )
    # The folder too: a view is cut differently where the data set is streamed.
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
    """Reserve the disk space of the whole file: a mapped write without space ends the process.

    Raises:
        OSError: there is not so much.
    """
    with file.open("r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
            return
        # Not on macOS. This overwrites the content with itself: the header, and zeros.
        while block := opened.read(_BLOCK):
            opened.seek(-len(block), os.SEEK_CUR)
            opened.write(block)


def open_soft_targets(folder: Path) -> CachedLogits:
    """Map the logits in `folder`: opened in milliseconds, with pages that processes share."""
    return CachedLogits(mapped(folder / _FILE))


@torch.inference_mode()
def _fill(logits: np.ndarray, teacher: Teacher, dataset: Dataset, view: View) -> None:
    limit = float(np.finfo(np.float16).max)
    for batch in dataset.training.batches(_BATCH, view=view, device=teacher.device):
        images = normalize(batch.images, dataset.info.mean, dataset.info.std)
        outputs = torch.stack([member(images).float() for member in teacher.members])
        logits[:, batch.indices.numpy()] = outputs.clamp(-limit, limit).cpu().numpy()
