"""Training on classes of unequal sizes: weights of the loss, and balanced sampling."""

import numpy as np
import torch
from torch import Tensor

from search.data.dataset import NO_LABEL, Labels
from spaces.axes.label_loss import LabelLoss, class_weights
from spaces.axes.training import BALANCED, Training

# Bump it when balanced sampling draws other images, or class weights count them differently. The
# trainer's version covers the plain order.
VERSION = 1


def label_loss_of(training: Training, labels: Labels, *, classes: int, device: str) -> LabelLoss:
    """Return the loss on the labels that a training method chooses.

    Args:
        training: the training method.
        labels: the labels of the training images, from which class weights follow.
        classes: the number of classes.
        device: the device of the training.
    """
    known = np.asarray(labels)
    counts = np.bincount(known[known != NO_LABEL], minlength=classes)
    weights = class_weights(training.class_weights, counts.tolist())
    on_device = None if weights is None else torch.tensor(weights, device=device)
    return LabelLoss(training.label_loss, on_device)


def epoch_order(labels: Labels, *, seed: int, epoch: int, sampling: str) -> Tensor:
    """Return the indices of the images of an epoch, [images], int64; the seed and epoch decide it.

    An epoch always has as many steps. Balanced sampling leaves out images of large classes and
    repeats those of small ones. Both have the logits of their own index, so cached logits fit.

    Args:
        labels: the labels of the training images.
        seed: the seed of the training.
        epoch: the number of the epoch, from 0.
        sampling: `uniform` or `balanced`.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    if sampling == BALANCED:
        drawn = _balanced(torch.from_numpy(np.asarray(labels)), generator)
        return drawn[torch.randperm(len(drawn), generator=generator)]
    return torch.randperm(len(labels), generator=generator)


def _balanced(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw each class equally often, to within one image; images without a label stay as they are.

    A class repeats no image before it has shown all of them.
    """
    is_labelled = labels != NO_LABEL
    classes = np.unique(labels[is_labelled].numpy()).tolist()
    quota, rest = divmod(int(is_labelled.sum()), len(classes)) if len(classes) else (0, 0)
    gets_one_more = torch.randperm(len(classes), generator=generator) < rest
    drawn = [(~is_labelled).nonzero().flatten()]
    for label, more in zip(classes, gets_one_more.tolist(), strict=True):
        members = (labels == label).nonzero().flatten()
        drawn.append(members[_repeated(len(members), quota + more, generator)])
    return torch.cat(drawn)


def _repeated(images: int, draws: int, generator: torch.Generator) -> Tensor:
    """Draw from `images` indices, all of them before any again, [draws]."""
    rounds = -(-draws // images)
    return torch.cat(
        [torch.randperm(images, generator=generator) for _ in range(rounds)]
        or [torch.empty(0, dtype=torch.int64)]
    )[:draws]
