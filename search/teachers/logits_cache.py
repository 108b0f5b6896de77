"""The cache of the teachers' logits for every view of every training image.

The logits of the original image are a wrong target for an augmented image (Beyer et al. 2021,
arXiv:2106.05237). So the cache contains logits for each seeded view, and students are trained on
the same views. It contains logits, not predictions, because each recipe chooses its own
temperature. Each view is a folder of its own, so a study with more views finds those of an earlier
one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once

import torch
from torch import Tensor, nn

from search.data.dataset import Dataset, normalize
from search.data.joined import for_learning
from search.data.views.view import View, Views
from search.files.filestore import FolderStore
from search.progress import Step, no_step
from search.teachers import adapters
from search.teachers.adapters import own_size
from search.teachers.logits_file import ViewLogits
from search.teachers.prepared import Teacher
from search.training import ensemble
from search.training.inference import inference_batch, laid_out, memory_format
from search.versions import TRAINING_LIBRARIES, StageVersions, Versions, image_stages
from spaces.axes.distillation import Needs

# Bump it when the content of the files changes, or its order.
VERSION = 3


@dataclass(frozen=True)
class CachedLogits:
    """The teachers' logits for the views of a study; a view is mapped when it is first asked for.

    Attributes:
        folders: the folder store of all views.
        key: the first part of the names of the study's folders.
        classes: the number of classes.
    """

    folders: FolderStore
    key: str
    classes: int

    def of(self, view: View, indices: Tensor) -> Tensor:
        """Return the images' logits, [teachers, batch, classes], float32, on the CPU."""
        return _opened(self.folders, _name(self.key, view), self.classes).of(indices)


@once
def _opened(folders: FolderStore, name: str, classes: int) -> ViewLogits:
    return ViewLogits.open(folders.fetched(name), classes=classes)


def soft_targets(
    teacher: Teacher,
    dataset: Dataset,
    views: Views,
    *,
    cache: FolderStore,
    progress: Callable[[str], None],
    step: Step = no_step,
) -> CachedLogits:
    """Return the teachers' logits for all views; compute those that are not cached.

    Args:
        teacher: the teacher.
        dataset: the images.
        views: the views; their number must be limited.
        cache: the folder of all caches.
        progress: called with a line of text when a view begins.
        step: called often with the number of images that are done.
    """
    assert views.count is not None
    learning_data = for_learning(dataset, by_labels=False)
    key = logits_key(teacher, dataset, views)
    found = open_soft_targets(key, classes=len(dataset.info.classes), cache=cache)
    for number in range(views.count):
        view, what = views.in_epoch(number), f"view {number + 1} of {views.count}"
        name = _name(found.key, view)
        with found.folders.making(name, progress):
            if found.folders.kept(name) is None:
                progress(f"teacher's soft targets: {what}")
                for done in _computed(found.folders, name, teacher, learning_data, view):
                    images = len(learning_data.training)
                    step(f"teacher's logits: {what}, {done:,} of {images:,} images")
    return found


def open_soft_targets(key: str, *, classes: int, cache: FolderStore) -> CachedLogits:
    """Return the logits with a key from `logits_key`, without reading them."""
    return CachedLogits(cache / "soft_targets", key, classes)


def logits_key(teacher: Teacher, dataset: Dataset, views: Views) -> str:
    """Return a hash of all that the logits follow from, but for the numbers of the views."""
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        stages=image_stages() | {"adapt": adapters.VERSION, "logits": VERSION},
    )
    return versions.key(teacher.digest, dataset.key, views.key())[:24]


def teaching_stages(needs: Needs) -> StageVersions:
    """Return the versions of the stages that supply the teacher's outputs to a student."""
    if needs is Needs.NOTHING:
        return {}
    if needs is Needs.FEATURES:
        return {"adapt": adapters.VERSION}
    return {
        "adapt": adapters.VERSION,
        "logits": VERSION,
        "ensemble": ensemble.VERSION,
    }


def _name(key: str, view: View) -> str:
    return f"{key}-{view.number:05d}"


def _computed(
    folders: FolderStore, name: str, teacher: Teacher, dataset: Dataset, view: View
) -> Iterator[int]:
    """Write the logits of one view; yield the number of images after each batch."""
    with folders.writing(name) as temporary:
        logits = ViewLogits.create(
            temporary,
            teachers=len(teacher.members),
            images=len(dataset.training),
            classes=len(dataset.info.classes),
        )
        done = 0
        for indices, outputs in answers(teacher, dataset, view):
            logits.write(indices.numpy(), outputs)
            done += len(indices)
            yield done
        logits.flush()


@torch.inference_mode()
def answers(
    teacher: Teacher, dataset: Dataset, view: View, *, order: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices of each batch, and the logits [teachers, batch, classes], on the CPU.

    Each member receives the view at its own resolution.

    Args:
        teacher: the teacher.
        dataset: the images are those of its training part.
        view: the view of these images.
        order: the indices of the images, [n], int64; None: all, ascending.
    """
    sizes = _sizes(teacher, dataset)
    count = answered_at_once(teacher, dataset)
    formats = [memory_format(member) for member in teacher.members]
    streams = {
        size: dataset.training.batches(
            count, order=order, view=view, device=teacher.device, image_size=size
        )
        for size in dict.fromkeys(sizes)
    }
    with laid_out(teacher.members):
        for batches in zip(*streams.values(), strict=True):
            images: Mapping[int, Tensor] = {
                size: normalize(batch.images, dataset.info.mean, dataset.info.std)
                for size, batch in zip(streams, batches, strict=True)
            }
            given = [
                images[size].contiguous(memory_format=layout)
                for size, layout in zip(sizes, formats, strict=True)
            ]
            yield batches[0].indices, _stacked(teacher.members, given)


def answered_at_once(teacher: Teacher, dataset: Dataset) -> int:
    """Return the number of images for which the teacher answers at a time."""
    return inference_batch(max(_sizes(teacher, dataset)), device=teacher.device)


def _sizes(teacher: Teacher, dataset: Dataset) -> list[int]:
    return [own_size(member) or dataset.info.image_size for member in teacher.members]


def _stacked(members: Sequence[nn.Module], images: Sequence[Tensor]) -> Tensor:
    pairs = zip(members, images, strict=True)
    return torch.stack([member(given).float() for member, given in pairs]).cpu()
