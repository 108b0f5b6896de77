"""Any timm image classifier. https://github.com/huggingface/pytorch-image-models."""

import difflib
from dataclasses import dataclass
from typing import Any, ClassVar

import timm
from torch import nn

from spaces.axes import Student
from spaces.choice import AnyName, OneOf, param


@dataclass(frozen=True)
class Timm(Student):
    """A timm model by its name, with the weights that timm names for it or with random ones."""

    name: ClassVar[str] = "timm"
    model: str = param("test_resnet", AnyName("timm model"))
    pretrained: bool = param(False, OneOf((False, True)))

    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        check_model_name(self.model)
        # Only networks that are tied to an input size, such as ViTs, have this argument.
        cfg = timm.get_pretrained_cfg(self.model)
        tied = cfg is not None and cfg.fixed_input_size
        size: dict[str, Any] = {"img_size": image_size} if tied else {}
        try:
            return timm.create_model(
                self.model,
                pretrained=self.pretrained and not blank,
                num_classes=classes,
                in_chans=channels,
                **size,
            )
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f"{self.model} can't be built for images of {image_size} pixels: {error}"
            ) from error


def check_model_name(model: str) -> None:
    """Raises ValueError, with what comes near, unless timm has a model of that name."""
    if timm.is_model(model):
        return
    near = difflib.get_close_matches(model, timm.list_models(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"must be the name of a timm model, but got {model!r}{hint}")
