"""The teacher section of a study file."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from search.config.fields import AnyPath, ClassOrder, Factory, Section
from search.config.teacher_training import Schedule, TeacherTraining


class TeacherSettings(Section):
    """One teacher, which exactly one of `model`, `exported` and `factory` names."""

    model: str | None = Field(None, description="name of a timm model")
    stem: Literal["original", "half", "small"] = Field(
        "original",
        description="how the model begins: as timm builds it, or, for images of up to about 64 "
        "pixels, small (no reduction in the stem) or half (the stem's pooling alone)",
    )
    pretrained: bool = Field(False, description="load timm's pretrained weights of the model")
    checkpoint: AnyPath | None = Field(
        None,
        description="the model's weights, as safetensors or a plain state dict, relative to the "
        "study file's folder",
    )
    exported: AnyPath | None = Field(
        None,
        description="folder of a student that retort exported, relative to the study file's folder",
    )
    factory: Factory | None = Field(
        None,
        description="function that returns the teacher, called with the keywords classes, channels "
        "and image_size: file.py:function, or module:function of a file beside the study file or "
        "of an installed package; needs --allow-code",
    )
    train: TeacherTraining | None = Field(
        None, description="train the teacher on these data, starting from its weights if it has any"
    )
    copies: int = Field(
        1,
        ge=1,
        le=16,
        description="train the teacher so many times with other seeds, as an ensemble",
    )
    assistant: "TeacherSettings | None" = Field(
        None,
        description="a smaller teacher with train, which learns from this one by distillation and "
        "then teaches the students in its place",
    )
    classes: ClassOrder | None = Field(
        None,
        description="the class of each output of a teacher that was trained elsewhere: natural "
        "(as timm orders folders), sorted (as torchvision does), a list of names, a file with "
        "one name a line, relative to the study file's folder, or the number of the output of each "
        "class, such as {tench: 0, church: 497}; null: as the weights' own configuration states, "
        "or else the data's order",
    )
    image_size: int | None = Field(
        None,
        ge=8,
        le=1024,
        description="height and width of the teacher's input, in pixels; null: as timm's weights "
        "need, or data.image_size for a teacher that is trained here or has other weights",
    )
    mean: list[float] | None = Field(
        None,
        description="mean that normalises the teacher's input, per channel; null: that of timm's "
        "weights, or else the data's",
    )
    std: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="standard deviation that belongs to mean, per channel"
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        origins = [key for key in ("model", "exported", "factory") if getattr(self, key)]
        if not origins and self.checkpoint:
            raise ValueError(
                "a checkpoint contains weights alone: set model too, the name of the timm model "
                "that they are of; for a network of your own, set factory to a function that "
                "builds it and loads them (docs/teachers.md), in place of the checkpoint"
            )
        if len(origins) != 1:
            given = ", ".join(origins) or "none"
            raise ValueError(
                f"a teacher must have exactly one of model, exported and factory, but got {given}"
            )
        return self

    @model_validator(mode="after")
    def _has_weights_of_its_model(self) -> Self:
        if self.model is None and (self.pretrained or self.checkpoint):
            raise ValueError(
                "pretrained and checkpoint need a model: set model, or leave them out; a factory's "
                "function loads its weights itself"
            )
        if self.model is None and self.stem != "original":
            raise ValueError(
                "stem changes how a timm model begins, so it needs a model: set model, or leave "
                "stem out"
            )
        if self.pretrained and self.checkpoint:
            raise ValueError("pretrained and checkpoint exclude each other: leave one out")
        if self.model and not (self.pretrained or self.checkpoint or self.train):
            raise ValueError(
                "a teacher must have weights or be trained: set pretrained: true, a checkpoint, or "
                "train: {}"
            )
        return self

    @model_validator(mode="after")
    def _takes_the_images_that_it_was_trained_on(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together: set both or none")
        if self.exported and (self.train or self.mean or self.image_size):
            raise ValueError(
                "an exported teacher is used unchanged: leave out train, image_size, mean and std"
            )
        return self

    @model_validator(mode="after")
    def _trains_what_it_needs(self) -> Self:
        if self.train is None and self.copies > 1:
            raise ValueError(
                "copies differ by the seed of their training, so they need train: set train: {}, "
                "or leave copies out"
            )
        if self.train and self.classes and self.model and not self.has_weights:
            raise ValueError(
                "classes names the outputs of given weights, but a model that is trained from "
                "random weights has the data's classes: leave classes out"
            )
        if self.assistant and self.assistant.train is None:
            raise ValueError(
                "an assistant learns from the teacher here, so it needs train: set "
                "assistant.train: {}"
            )
        return self

    @property
    def has_weights(self) -> bool:
        """Whether timm's weights or a checkpoint are given."""
        return bool(self.pretrained or self.checkpoint)

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the training; None without a training."""
        return self.train.schedule(from_weights=self.has_weights) if self.train else None
