"""The plan of a network's training: all that its weights follow from."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from search.data.views.view import View, Views
from search.training.checkpoint import Checkpoint
from search.training.validation import Validation
from spaces.axes.distillation import Distillation
from spaces.axes.label_loss import LabelLoss
from spaces.axes.training import Training

# Returns the logits of all teachers, [teachers, batch, classes], for a view and image indices
# [batch].
Targets = Callable[[View, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The plan of a network's training.

    Attributes:
        stage: the name of the stage in the learning curve.
        training: the training method: optimizer, schedule, batch size and augmentation.
        distillation: the distillation method, which computes the loss.
        epochs: the number of passes over the training images.
        skipped_epochs: the epochs by which the learning-rate schedule is longer. This training has
            the rates after them, as if it were the last part of a longer training.
        validation: scores the network after each epoch.
        views: the augmented view of each epoch.
        targets: the teachers' logits for these views; None if the loss needs no logits, or the
            teachers run in each step.
        teachers: the teachers' networks, for a loss that needs their features, and for teachers
            that run in each step.
        seed: the seed of the order of images, and of dropout.
        device: the device on which the network is trained.
        checkpoint: the checkpoint of the training; None writes no checkpoint.
        penalty: returns a scalar in nats that is added to the loss of each step; None adds nothing.
        constraint: is called after each step to restore a constraint on the weights; None: none.
        label_loss: the loss on the labels; None: as the training method chooses it, with weights
            from the sizes of the classes.
        image_size: the side of the images, in pixels, for a teacher that has its own; None: that of
            the data set.
    """

    stage: str
    training: Training
    distillation: Distillation
    epochs: int
    validation: Validation
    views: Views
    targets: Targets | None
    seed: int
    skipped_epochs: int = 0
    device: str = "cpu"
    checkpoint: Checkpoint | None = None
    teachers: tuple[nn.Module, ...] = ()
    penalty: Callable[[], Tensor] | None = None
    constraint: Callable[[], None] | None = None
    label_loss: LabelLoss | None = None
    image_size: int | None = None
