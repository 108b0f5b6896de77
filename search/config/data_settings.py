"""The section `data` of a study file: the images, and how they are divided and read."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from search.config.augment_settings import AugmentSettings
from search.config.fields import AnyPath, GroupRule, Section, Share
from search.config.table_settings import ClassNames, TableColumns, check_table
from search.objectives.units import Bytes

_OF_FILES = ("folder", "table")


class DataSettings(Section):
    """The images, and how they are divided into training, validation and test.

    If the data have a validation and a test part, both are used unchanged. If they have one of the
    two (an image folder's `val/`, CIFAR's test batch), it is the test part, which no decision of
    the search uses, and validation is split off training. If they have neither, both are split off
    training. Each split draws at random from each class; the seed determines the draw. With
    `groups`, it draws whole groups.
    """

    source: Literal[
        "digits", "folder", "table", "fashion_mnist", "mnist", "cifar10", "cifar100", "npz", "timm"
    ] = Field(description="where the images come from")
    path: AnyPath | None = Field(
        None,
        description="folder or file of the images, relative to the study file's folder; a `table` "
        "is a .csv, .tsv or .parquet file; `digits` and `timm` need none",
    )
    images: AnyPath | None = Field(
        None,
        description="folder below which a `table` names its images; null: the table's folder",
    )
    columns: TableColumns | None = Field(None, description="the columns of a `table`")
    class_names: ClassNames | None = Field(
        None,
        description="names by which the classes are shown: a .json, .csv, .tsv or text file, a "
        "mapping of classes (folders, labels) to names, or a list for classes that are numbers "
        "from 0",
    )
    unlabelled: AnyPath | None = Field(
        None,
        description="folder of images without labels, for methods that need no labels (label_free)",
    )
    follow_links: bool = Field(
        False,
        description="use files and folders outside of path, images and unlabelled if links, or the "
        "rows of a table, lead to them; links inside are always followed",
    )
    groups: GroupRule | None = Field(
        None,
        description="how the path of an image, below the class folders' folder or `images`, names "
        "its group, such as a scene, which a split keeps in one part: folder, prefix (the folder, "
        "and the file's name up to its last number), or a regular expression whose parentheses "
        "match the group",
    )
    name: str | None = Field(None, description="name of a timm data set, such as hfds/food101")
    image_size: int = Field(
        32, ge=8, le=1024, description="height and width of the images after resizing, in pixels"
    )
    train_images: int | None = Field(
        None, ge=1, description="use at most this many images for training; null: all"
    )
    validation_share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        0.15,
        description="share of each class that is split off for validation; not used if the data "
        "have a validation and a test part",
    )
    test_share: Share = Field(
        0.15,
        description="share of each class that is split off for test; not used if the data have a "
        "test part",
    )
    max_corrupt_share: Share = Field(
        0.01,
        description="the largest allowed share of damaged images, which are reported and skipped",
    )
    augment: AugmentSettings = Field(
        AugmentSettings(), description="the random changes of training images"
    )
    in_memory: Bytes = Field(
        2 * 10**9,
        validate_default=False,
        description="data sets up to this size are kept in memory, as resized pixels; of larger "
        "ones validation and test, if these two do not exceed it. All other images are decoded "
        "whenever they are used",
    )
    shards: Literal["auto", "always", "never"] = Field(
        "auto",
        description="where images are decoded whenever they are used, store them once more, in a "
        "few large files, with large photos at a reduced size. auto: if half of the images are "
        "photos of at least twice shard_side, or if run.cache is a URL; always; never",
    )
    shard_side: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="shorter side of the reduced photos in pixels; null: 1.5 times image_size. "
        "Photos of less than twice this side keep their own bytes, and so do all validation and "
        "test images",
    )
    workers: int | None = Field(
        None,
        ge=0,
        le=64,
        description="processes that decode images ahead, for each trial and for the teacher, and "
        "threads of the preparation; null: as many as the cores of a trial (run.cpus), and all "
        "cores before the first trial, but at most 16; 0: none",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_earlier_keys(cls, given: Any) -> Any:
        """Move `shift` and `flip` into `augment`: they stood beside it in version 0.2."""
        if not isinstance(given, dict) or not (earlier := given.keys() & {"shift", "flip"}):
            return given
        if "augment" in given:
            raise ValueError(
                f"{' and '.join(sorted(earlier))} must be written below augment, but stand "
                "beside it: move them there"
            )
        others = {key: value for key, value in given.items() if key not in earlier}
        return others | {"augment": {key: given[key] for key in sorted(earlier)}}

    @model_validator(mode="after")
    def _has_what_its_source_needs(self) -> Self:
        if self.source == "timm" and not self.name:
            raise ValueError("source timm needs the data set's name, such as name: hfds/food101")
        if self.source not in ("digits", "timm") and self.path is None:
            raise ValueError(f"source {self.source} needs a path")
        if self.groups is not None and self.source not in _OF_FILES:
            raise ValueError(
                "groups come from the paths of images, so they need source: folder or table, but "
                f"the source is {self.source}: leave groups out"
            )
        if self.follow_links and self.source not in _OF_FILES and self.unlabelled is None:
            raise ValueError(
                "follow_links needs files of images: leave it out, or set source: folder, source: "
                "table or unlabelled"
            )
        only_tables = {"images": self.images, "columns": self.columns}
        check_table(self.source, groups=self.groups, only_tables=only_tables)
        if self.shard_side is not None and self.shard_side < self.image_size:
            raise ValueError(
                f"shard_side must be at least image_size, {self.image_size}, but is "
                f"{self.shard_side}: raise it, or leave it out"
            )
        return self
