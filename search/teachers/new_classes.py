"""The classifier of a teacher that is fine-tuned: its weights' own, some of its rows, or a new one.

A row is the weight vector of a class. If the outputs of the data's classes are known, the
classifier starts from their rows. Otherwise it is new, and a linear probe fits it before the
fine-tuning: so its first, random gradients do not harm the other layers (Kumar et al. 2022,
arXiv:2202.10054).
"""

from collections.abc import Callable

import torch
from torch import nn

from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.teachers.class_order import Names, columns
from search.teachers.linear_probe import classifier_name, outputs_of, with_classes


def fit_classes(
    network: nn.Module, names: Names | None, info: DataInfo, *, progress: Callable[[str], None]
) -> bool:
    """Give the network the data's classes, in place; return whether a probe must fit them.

    That is so if the classifier is new and linear.

    Args:
        network: a network with the classes of its weights.
        names: the class of each output; None if unknown.
        info: the description of the data.
        progress: receives a line about a changed classifier.

    Raises:
        TeacherError: there are not as many names as outputs.
    """
    outputs, classes = _outputs(network), len(info.classes)
    if names is not None and outputs not in (None, len(names)):
        raise TeacherError(
            f"teacher.classes must name each output of the teacher, but it has {len(names)} names, "
            f"and the teacher {outputs} outputs"
        )
    if names == info.classes or (names is None and outputs in (None, classes)):
        return False
    if names is not None and classifier_name(network):
        keep_rows(network, columns(names, info.classes))
        progress(
            f"the teacher's classifier starts from the weights' own rows of the data's {classes} "
            f"classes, of {outputs}"
        )
        return False
    with_classes(network, classes)
    is_linear = classifier_name(network) is not None
    progress(
        f"the teacher's classifier is new, for the data's {classes} classes: its weights have "
        f"{outputs}. All other weights are used"
        + ("" if is_linear else ". It is not linear, so no probe fits it before the fine-tuning")
    )
    return is_linear


def _outputs(network: nn.Module) -> int | None:
    """Return the number of outputs, also of a classifier that is not linear; None if unknown."""
    found = outputs_of(network)
    stated = getattr(network, "num_classes", None)
    return stated if found is None and isinstance(stated, int) else found


@torch.no_grad()
def keep_rows(network: nn.Module, rows: list[int]) -> None:
    """Replace the linear classifier by one with these of its rows."""
    name = classifier_name(network)
    assert name is not None
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    weight, bias = old.weight[rows].clone(), None if old.bias is None else old.bias[rows].clone()
    new = nn.Linear(old.in_features, len(rows), bias=bias is not None)
    new.weight.copy_(weight)
    if bias is not None:
        new.bias.copy_(bias)
    network.set_submodule(name, new)
