"""The section `final` of a study file: the finalists, which are trained to the end."""

from pydantic import Field

from search.config.fields import Section
from search.objectives.units import Seconds

EPOCHS_FACTOR = 5
"""How many times the epochs of its own recipe a finalist trains, unless `final.epochs` is set."""


class FinalSettings(Section):
    """The finalists: after the search, its best recipes are trained again, for more epochs.

    A search trains briefly, since it only compares. The finalists are compared on the validation
    images, and the best one is the study's student.
    """

    students: int = Field(
        3,
        ge=1,
        le=100,
        description="the number of finalists: the best recipes within the budget, each with "
        "another training",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        description=f"epochs of each finalist; null: {EPOCHS_FACTOR} times those of its own recipe",
    )
    seeds: int = Field(
        1,
        ge=1,
        le=20,
        description="train each finalist with this many seeds; the one with the best estimate is "
        "chosen",
    )
    max_time: Seconds | None = Field(
        None,
        description="start no finalist after this time, such as 2h; it counts from the first "
        "finalist of each run, and all runs of the study count together",
    )
    refit: bool = Field(
        False,
        description="train the best finalist once more, on training and validation images "
        "together; this student is then exported. Only the test images measure it",
    )
