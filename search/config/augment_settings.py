"""The augmentation of the training images in a study file."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from search.config.fields import Section, Share

_Positive = Annotated[float, Field(gt=0, le=100)]
_Area = Annotated[float, Field(gt=0, le=1)]


class AugmentSettings(Section):
    """The random changes of training images: a level, and knobs in place of the level's.

    A level alone can be written as a word: `augment: strong`.
    """

    level: Literal["none", "light", "standard", "strong"] = Field(
        "light",
        description="the knobs together: `none` changes nothing; `light` shifts and mirrors; "
        "`standard` crops, mirrors and changes colours; `strong` crops, mirrors, erases, and "
        "applies TrivialAugment",
    )
    shift: Share | None = Field(
        None, description="the largest shift, as a share of the side; edges are reflected"
    )
    flip: bool | None = Field(
        None,
        description="mirror images left to right at random; null: at every level but none, except "
        "for digits and MNIST. Set false where left and right matter, as for signs and text",
    )
    scale: Annotated[list[_Area], Field(min_length=2, max_length=2)] | None = Field(
        None, description="the smallest and the largest share of the area of a random-resized crop"
    )
    ratio: Annotated[list[_Positive], Field(min_length=2, max_length=2)] | None = Field(
        None, description="the smallest and the largest ratio of the crop's width to its height"
    )
    rotation: Annotated[float, Field(ge=0, le=180)] | None = Field(
        None, description="the largest rotation to either side, in degrees"
    )
    color: Share | None = Field(
        None, description="the largest relative change of brightness, contrast and saturation"
    )
    policy: Literal["none", "trivial", "rand"] | None = Field(
        None,
        description="random operations on each image: `trivial` (TrivialAugment) or `rand` "
        "(RandAugment)",
    )
    operations: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None, description="the number of operations of RandAugment; 2 if null"
    )
    magnitude: Annotated[int, Field(ge=0, le=30)] | None = Field(
        None, description="the strength of RandAugment, 0 to 30; 9 if null"
    )
    erasing: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="the probability that a rectangle of the image is erased"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, given: Any) -> Any:
        return {"level": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _has_rising_ranges(self) -> Self:
        for name in ("scale", "ratio"):
            if (bounds := getattr(self, name)) and bounds[0] > bounds[1]:
                raise ValueError(
                    f"{name} must be the smallest and the largest value, but got {bounds}"
                )
        if self.policy != "rand" and (self.operations, self.magnitude) != (None, None):
            raise ValueError(
                "operations and magnitude are of RandAugment: set policy: rand, or leave them out"
            )
        return self

    def knobs(self) -> dict[str, Any]:
        """Return the knobs that are set."""
        given = self.model_dump(exclude={"level"}, exclude_none=True)
        return {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
