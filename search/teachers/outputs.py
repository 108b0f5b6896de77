"""Checks of a teacher's outputs: their number, their accuracy, and the order of their classes."""

import numpy as np
import torch
from torch import Tensor, nn

from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.objectives.metrics import ACCURACY
from search.objectives.predictions import Predictions
from search.teachers.adapters import own_size
from search.teachers.factory import own_code
from search.teachers.setting import TeacherContext
from search.training.validation import predictions_of


@torch.inference_mode()
def check_outputs(
    network: nn.Module,
    info: DataInfo,
    *,
    outputs: int | None = None,
    factory: str | None = None,
    device: str = "cpu",
) -> None:
    """Raise TeacherError unless the network takes the data's images and has these outputs.

    Args:
        network: takes the students' normalised images.
        info: the description of the data.
        outputs: the number of outputs that the stated classes need; None: the data's classes.
        factory: the factory that built the network; None if its code is not a person's.
        device: the network's device.
    """
    example = torch.zeros(2, info.channels, info.image_size, info.image_size, device=device)
    accept = f"accept images with {info.channels} channels and {info.image_size} pixels"
    try:
        with own_code(factory, accept):
            found = network(example)
    except (RuntimeError, AssertionError) as error:
        raise TeacherError(f"the teacher must {accept}, but fails: {error}") from error
    if not isinstance(found, Tensor):
        raise TeacherError(
            "the teacher must return a tensor of logits, [batch, classes], but returns "
            f"{type(found).__name__}"
        )
    if tuple(found.shape) == (2, len(info.classes) if outputs is None else outputs):
        return
    if outputs is not None:
        raise TeacherError(
            f"teacher.classes must name each output of the teacher, but it has {outputs} names, "
            f"and the outputs for 2 images have the shape {list(found.shape)}"
        )
    raise TeacherError(
        f"the teacher must predict the {len(info.classes)} classes of the data, but its outputs "
        f"for 2 images have the shape {list(found.shape)}: fine-tune it with `train: {{}}`, name "
        "the class of each output with `classes:`, or open only distillation methods that need "
        "only its features"
    )


def told_accuracy(network: nn.Module, name: str, context: TeacherContext) -> Predictions:
    """Predict the validation images, and report the accuracy and whether it is above chance.

    A teacher must be significantly better than always predicting the commonest class. This check
    uses the accuracy, whatever metric the study maximises.
    """
    validation = context.dataset.validation
    size = own_size(network)
    found = predictions_of(
        network, validation, context.dataset, device=context.device, image_size=size
    )
    guess = Predictions(
        labels=validation.labels,
        classes=np.full_like(validation.labels, np.bincount(validation.labels).argmax()),
        confidence=np.ones(len(validation), np.float32),
    )
    right, chance = (ACCURACY.compute(one, validation.labels) for one in (found, guess))
    context.progress(f"teacher: {name}, validation {ACCURACY.label} {ACCURACY.format(right)}")
    if right <= chance + 3 * ACCURACY.standard_error(guess, validation.labels):
        context.progress(
            f"warning: the teacher's validation {ACCURACY.label} of {ACCURACY.format(right)} is "
            f"not significantly above chance ({ACCURACY.format(chance)}): check its preprocessing "
            "and the order of its classes"
        )
    return found
