"""A linear probe: a new classifier for a teacher that was trained on other classes.

Methods that compare features work with a teacher of other classes. To measure such a teacher, and a
student's agreement with it, its classifier is replaced by one for the data's classes. The other
layers are not changed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from search.data.dataset import normalize
from search.errors import TeacherError
from search.teachers.adapters import AdaptedTeacher, OrderedTeacher, own_size
from search.teachers.setting import TeacherContext
from search.training.inference import inference_batch

# Bump it when the same images lead to another classifier.
VERSION = 1

_MAX_IMAGES = 20_000
_DECAY = 1e-3
_ITERATIONS = 200


def outputs_of(network: nn.Module) -> int | None:
    """Return the number of outputs of the network's linear classifier.

    timm builds a network without a classifier if its pretrained weights have none, as after
    training without labels.

    Returns:
        The number of outputs; 0 for a timm network without a classifier, None for any other network
        without a linear classifier.
    """
    if getattr(_without_adapter(network), "num_classes", None) == 0:
        return 0
    classifier = _classifier(network)
    return classifier.out_features if classifier else None


def with_classes(network: nn.Module, classes: int) -> nn.Module:
    """Add or replace the classifier if the network has none or another number of outputs."""
    if outputs_of(network) == 0:
        _without_adapter(network).reset_classifier(classes)  # type: ignore[operator]
        return network
    classifier, name = _classifier(network), classifier_name(network)
    if classifier is not None and name and classifier.out_features != classes:
        network.set_submodule(name, nn.Linear(classifier.in_features, classes))
    elif classifier is None and getattr(network, "num_classes", classes) != classes:
        network.reset_classifier(classes)  # type: ignore[operator]  # timm's, such as a convolution
    return network


def classifier_name(network: nn.Module) -> str | None:
    """Return the dotted name of the network's linear classifier; None if it has none."""
    classifier = _classifier(network)
    return next((name for name, part in network.named_modules() if part is classifier), None)


def probed(network: nn.Module, context: TeacherContext) -> nn.Module:
    """Replace the classifier by one that is fitted to at most 20,000 training images.

    The new classifier is a multinomial logistic regression on the old classifier's inputs,
    standardised to mean 0 and standard deviation 1, with a small weight decay.

    Raises:
        TeacherError: the network has no linear classifier to replace.
    """
    info = context.dataset.info
    network = with_classes(network, len(info.classes)).to(context.device).eval()
    classifier = _classifier(network)
    if classifier is None:
        raise TeacherError(
            "a teacher with other classes than the data must have a linear classifier, as timm's "
            f"networks do, but {type(network).__name__} has none: fine-tune the teacher with "
            "`train: {}`"
        )
    inputs, labels = _classifier_inputs(network, classifier, context)
    center, spread = inputs.mean(dim=0), inputs.std(dim=0).clamp(min=1e-6)
    weight, bias = _fit((inputs - center) / spread, labels, classes=len(info.classes))
    with torch.no_grad():
        classifier.weight.copy_(weight / spread)
        classifier.bias.copy_(bias - (weight / spread) @ center)
    return network


def _without_adapter(network: nn.Module) -> nn.Module:
    while isinstance(network, AdaptedTeacher | OrderedTeacher):
        network = network.network
    return network


def _classifier(network: nn.Module) -> nn.Linear | None:
    network = _without_adapter(network)
    found = network.get_classifier() if hasattr(network, "get_classifier") else None  # type: ignore[operator]
    return found if isinstance(found, nn.Linear) else None


@torch.inference_mode()
def _classifier_inputs(
    network: nn.Module, classifier: nn.Linear, context: TeacherContext
) -> tuple[Tensor, Tensor]:
    """Return the classifier's inputs, [images, dimensions], and labels of training images."""
    info, training = context.dataset.info, context.dataset.training
    generator = torch.Generator().manual_seed(context.seed)
    order = torch.randperm(len(training), generator=generator)[:_MAX_IMAGES]
    inputs: list[Tensor] = []
    labels: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        size = own_size(network)
        count = inference_batch(size or info.image_size, device=context.device)
        for batch in training.batches(count, order=order, device=context.device, image_size=size):
            network(normalize(batch.images, info.mean, info.std))
            labels.append(batch.labels)
    finally:
        hook.remove()
    return torch.cat(inputs).float().clone(), torch.cat(labels).clone()


def _fit(inputs: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Fit the classifier; return the weight [classes, dimensions] and the bias [classes]."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        inputs, labels = inputs.clone(), labels.clone()
        weight = torch.zeros(classes, inputs.shape[1], device=inputs.device, requires_grad=True)
        bias = torch.zeros(classes, device=inputs.device, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = functional.cross_entropy(functional.linear(inputs, weight, bias), labels)
            value = value + _DECAY / 2 * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return weight.detach(), bias.detach()
