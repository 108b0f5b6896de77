"""Any timm image classifier. https://github.com/huggingface/pytorch-image-models."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from spaces.axes.student import NO_WEIGHTS, TEACHERS_WEIGHTS, Student
from spaces.method import AnyName, OneOf, param
from spaces.students.stem import keep_resolution
from spaces.students.wanted import named_models, near_model
from spaces.students.weights import reading_weights
from spaces.unfit import UNFIT

if TYPE_CHECKING:
    from spaces.recipe import Recipe

_UNFIT_STEM: tuple[type[Exception], ...] = (ValueError, *UNFIT)
_SMALL, _HALF = "small", "half"


@dataclass(frozen=True)
class Timm(Student):
    """A timm model by its name, with random weights, timm's pretrained weights, or given ones.

    `stem` is `original`, or `small` for images of up to about 64 pixels: the first convolution has
    the stride 1, and no pooling follows it. A small stem multiplies the MACs by 4 to 16. `half`
    keeps the pooling that follows in some networks, such as ResNets; it multiplies them by about 3.

    `weights` is `none`, a file with the model's weights (relative to the study file's folder), or
    `teacher`. Then the student is the teacher itself, which must be the same timm model: it is not
    trained before it is pruned or quantized, and `training.epochs` is the length of which a
    recovery has its share.
    """

    name: ClassVar[str] = "timm"
    costless: ClassVar[frozenset[str]] = frozenset({"weights"})
    model: str = param("test_resnet", AnyName("timm model"))
    pretrained: bool = param(False, OneOf((False, True)))
    stem: str = param("original", OneOf(("original", _SMALL, _HALF)))
    weights: str = param(NO_WEIGHTS, AnyName("file of weights, or none, or teacher"))

    @classmethod
    def written_out(cls, params: Mapping[str, object]) -> Mapping[str, object]:
        if "model" not in params:
            return params
        weights = params.get("pretrained", False)
        pretrained = weights is True or weights == [True]
        try:
            models = named_models(params["model"], pretrained=pretrained)
        except ValueError as error:
            raise ValueError(f"model: {error}") from None
        return {**params, "model": models}

    @property
    def timm_model(self) -> str:
        return self.model

    @property
    def is_timms_own(self) -> bool:
        return self.stem == "original"

    @property
    def is_pretrained(self) -> bool:
        return self.pretrained or self.given_weights is not None

    @property
    def given_weights(self) -> str | None:
        return None if self.weights == NO_WEIGHTS else self.weights

    @property
    def starts_trained(self) -> bool:
        return self.weights == TEACHERS_WEIGHTS

    @property
    def normalization(self) -> tuple[Sequence[float], Sequence[float]] | None:
        cfg = timm.get_pretrained_cfg(self.model) if self.pretrained else None
        return (cfg.mean, cfg.std) if cfg else None

    def conflict(self, recipe: "Recipe") -> str | None:
        if self.pretrained and self.given_weights:
            return (
                f"pretrained: true and weights: {self.weights} exclude each other: set one of them"
            )
        if self.starts_trained and self.stem != "original":
            return "weights: teacher needs the teacher's own stem: set stem: original"
        if self.pretrained and not timm.is_model_pretrained(self.model):
            return (
                f"pretrained: true needs weights from timm, but timm has none for {self.model}: "
                "set pretrained: false"
            )
        return super().conflict(recipe)

    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        check_model_name(self.model)
        loads = self.pretrained and not blank
        try:
            with reading_weights(self.model) if loads else nullcontext():
                network = timm.create_model(
                    self.model,
                    pretrained=loads,
                    num_classes=classes,
                    in_chans=channels,
                    **self._size(image_size),
                )
        except UNFIT as error:
            raise ValueError(
                f"{self.model} must support images of {image_size} pixels, but fails: {error}. "
                "Choose another model or image_size"
            ) from error
        return self._with_stem(network, channels, image_size)

    def build_from(
        self, weights: Mapping[str, Tensor], *, classes: int, channels: int, image_size: int
    ) -> nn.Module:
        """Return the network with these weights; all of them must fit.

        timm adapts the first layer to other channels, and position embeddings to another size.
        """
        check_model_name(self.model)
        network = timm.create_model(
            self.model,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": dict(weights), "num_classes": classes},
            num_classes=classes,
            in_chans=channels,
            **self._size(image_size),
        )
        # timm keeps the configuration with the network, and with it the tensors.
        del network.pretrained_cfg["state_dict"]  # type: ignore[operator, union-attr]
        return self._with_stem(network, channels, image_size)

    def _size(self, image_size: int) -> dict[str, Any]:
        # Only networks with a fixed input size, such as ViTs, have this argument.
        cfg = timm.get_pretrained_cfg(self.model)
        return {"img_size": image_size} if cfg is not None and cfg.fixed_input_size else {}

    def _with_stem(self, network: nn.Module, channels: int, image_size: int) -> nn.Module:
        if self.stem != "original":
            self._adapt_stem(network, torch.zeros(1, channels, image_size, image_size))
        return network

    def _adapt_stem(self, network: nn.Module, example: torch.Tensor) -> None:
        try:
            keep_resolution(network, example, pools=self.stem == _HALF)
        except _UNFIT_STEM as error:
            raise ValueError(
                f"{self.model} can't have a {self.stem} stem: {error}. Set stem: original"
            ) from error


def check_model_name(model: str) -> None:
    """Raise ValueError, with the name of a similar model, unless timm has this model."""
    if not timm.is_model(model):
        raise ValueError(f"must be the name of a timm model, but got {model!r}{near_model(model)}")
    name, _, weights = model.partition(".")
    known = timm.list_pretrained(f"{name}.*")
    if weights and model not in known:
        raise ValueError(
            f"must be a timm model with pretrained weights, one of {known}, but got {model!r}"
        )
