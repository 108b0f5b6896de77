"""A teacher with other classes than the data's, and a new linear classifier for the data's classes.

Features need no classes in common. To measure such a teacher, and the agreement of a student with
it, its own classifier is replaced by one that is fitted here; the rest is not changed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from search.data.dataset import normalize
from search.errors import TeacherError
from search.teachers.adapters import AdaptedTeacher
from search.teachers.setting import TeacherContext

_MOST_IMAGES = 20_000
_BATCH = 256
_DECAY = 1e-3
_ITERATIONS = 200


def outputs_of(network: nn.Module) -> int | None:
    """Return the outputs of the network's linear classifier; 0 if left out, None if it has none.

    timm leaves the classifier out where weights come without one, such as those of training
    without labels.
    """
    if getattr(_bare(network), "num_classes", None) == 0:
        return 0
    classifier = _classifier(network)
    return classifier.out_features if classifier else None


def with_classes(network: nn.Module, classes: int) -> nn.Module:
    """Return the network, with a new classifier if its own has other outputs or was left out."""
    if outputs_of(network) == 0:
        _bare(network).reset_classifier(classes)  # type: ignore[operator]
        return network
    classifier, name = _classifier(network), classifier_name(network)
    if classifier is not None and name and classifier.out_features != classes:
        network.set_submodule(name, nn.Linear(classifier.in_features, classes))
    return network


def classifier_name(network: nn.Module) -> str | None:
    """Return the dotted name of the network's linear classifier; None where it has none."""
    classifier = _classifier(network)
    return next((name for name, part in network.named_modules() if part is classifier), None)


def probed(network: nn.Module, room: TeacherContext) -> nn.Module:
    """Fit a classifier of the data's classes to up to 20,000 images; return the network with it.

    The classifier is a multinomial logistic regression on the old classifier's inputs, each with
    mean 0 and spread 1, with a little weight decay.

    Raises:
        TeacherError: it has no linear classifier to take the place of.
    """
    info = room.dataset.info
    network = with_classes(network, len(info.classes)).to(room.device).eval()
    classifier = _classifier(network)
    if classifier is None:
        raise TeacherError(
            "a teacher of other classes must have a linear classifier, as timm's networks have, "
            f"but this {type(network).__name__} has none: fine-tune it with `train: {{}}`"
        )
    seen, labels = _seen(network, classifier, room)
    center, spread = seen.mean(dim=0), seen.std(dim=0).clamp(min=1e-6)
    weight, bias = _fitted((seen - center) / spread, labels, classes=len(info.classes))
    with torch.no_grad():
        classifier.weight.copy_(weight / spread)
        classifier.bias.copy_(bias - (weight / spread) @ center)
    return network


def _bare(network: nn.Module) -> nn.Module:
    return network.network if isinstance(network, AdaptedTeacher) else network


def _classifier(network: nn.Module) -> nn.Linear | None:
    network = _bare(network)
    found = network.get_classifier() if hasattr(network, "get_classifier") else None  # type: ignore[operator]
    return found if isinstance(found, nn.Linear) else None


@torch.inference_mode()
def _seen(network: nn.Module, classifier: nn.Linear, room: TeacherContext) -> tuple[Tensor, Tensor]:
    """Return the classifier's inputs [images, dimensions] for training images, and their labels."""
    info, training = room.dataset.info, room.dataset.training
    generator = torch.Generator().manual_seed(room.seed)
    order = torch.randperm(len(training), generator=generator)[:_MOST_IMAGES]
    inputs: list[Tensor] = []
    labels: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        for batch in training.batches(_BATCH, order=order, device=room.device):
            network(normalize(batch.images, info.mean, info.std))
            labels.append(batch.labels)
    finally:
        hook.remove()
    return torch.cat(inputs).float().clone(), torch.cat(labels).clone()


def _fitted(seen: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Fit the weight [classes, dimensions] and the bias [classes]."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        seen, labels = seen.clone(), labels.clone()
        weight = torch.zeros(classes, seen.shape[1], device=seen.device, requires_grad=True)
        bias = torch.zeros(classes, device=seen.device, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = functional.cross_entropy(functional.linear(seen, weight, bias), labels)
            value = value + _DECAY / 2 * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return weight.detach(), bias.detach()
