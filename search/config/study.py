"""A study, typed: the keys of a study file, and their defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from search.config.augment_settings import AugmentSettings
from search.config.fields import (
    Address,
    AnyPath,
    GroupRule,
    Section,
    Share,
    StoreUrl,
    is_name,
)
from search.config.final_settings import FinalSettings
from search.config.table_settings import ClassNames, TableColumns, check_table
from search.config.target_settings import TargetSettings
from search.config.teacher_members import TeacherMember, teaching_members
from search.config.teacher_settings import TeacherSettings
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_MINIMIZED, DEFAULT_OBJECTIVE, MOST_MINIMIZED, Goal
from search.objectives.limits import limit_of
from search.objectives.metrics import metric_of
from search.objectives.units import Bytes, Room, Seconds
from spaces.search_space import SearchSpace

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


class BudgetSettings(Budget):
    """The budget, and the target on which it must hold."""

    target: TargetSettings = Field(
        TargetSettings(), description="where students are served and latency is measured"
    )


def _is_metric(name: str) -> str:
    return metric_of(name).name


def _is_limit(name: str) -> str:
    return limit_of(name).name


class SearchSettings(Section):
    """The goal, the number of recipes to try, and the sampler that proposes them."""

    objective: Annotated[str, AfterValidator(_is_metric)] = Field(
        DEFAULT_OBJECTIVE, description="the metric to optimise; `retort metrics` lists all metrics"
    )
    minimize: Annotated[
        list[Annotated[str, AfterValidator(_is_limit)]],
        Field(min_length=1, max_length=MOST_MINIMIZED),
    ] = Field(
        list(DEFAULT_MINIMIZED),
        description="the costs to minimise; with the objective they define the frontier; "
        "`retort limits` lists all costs",
    )
    sampler: Literal["gp", "tpe", "nsga2", "optuna-gp", "random"] = Field(
        "gp", description="the sampler that proposes recipes; gp knows the cost of a recipe"
    )
    trials: int = Field(
        30, ge=1, description="the number of recipes to train, including stopped ones"
    )
    max_time: Seconds | None = Field(
        None,
        description="start no trial and make no branch after this time, such as 2h; it counts "
        "from the first trial of each run, and all runs of the study count together",
    )
    stopping: bool = Field(
        True,
        description="stop a trial that would stay worse than a cheaper student; decided after a "
        "quarter, a half and three quarters of the training",
    )
    branches: int = Field(
        1,
        ge=0,
        le=16,
        description="the number of settings of each pruning method that are tried on each trained "
        "student, with every quantization that needs no training; 0: no branches",
    )
    warm_start: list[Annotated[str, AfterValidator(is_name)]] = Field(
        [],
        description="similar studies in the same store; the sampler learns from their trials, and "
        "students that they trained are taken from run.cache",
    )
    views: Annotated[int, Field(ge=1, le=10_000)] | Literal["auto", "live"] = Field(
        "auto",
        description="the number of augmented views of each image for which the teacher's answers "
        "are cached; auto: a new view for each epoch, as far as teacher_share allows; live: the "
        "teacher answers in each training step, which suits GPUs",
    )
    teacher_share: Annotated[float, Field(gt=0, le=10)] = Field(
        0.1,
        description="with views: auto, the teacher's answers may take this share of the search's "
        "predicted time",
    )

    @model_validator(mode="after")
    def _minimizes_each_once(self) -> Self:
        if len(set(self.minimize)) < len(self.minimize):
            raise ValueError(f"minimize must name each cost once, but got {self.minimize}")
        return self


class RunSettings(Section):
    """Where the trials run, and how many at a time."""

    parallel: int | None = Field(
        None, ge=1, description="trials at a time; null: as many as cores and GPUs allow"
    )
    cpus: int = Field(1, ge=1, description="CPU cores, and threads, of each trial")
    gpus: float = Field(0, ge=0, description="GPUs of each trial; with 0.5, two trials share a GPU")
    retries: int = Field(
        1,
        ge=0,
        le=100,
        description="how many times a trial runs again after its process or node died",
    )
    trial_timeout: Seconds | None = Field(
        None, description="end a trial after this computing time, such as 30m; null: never"
    )
    ray: str = Field("local", description="local, auto, or the address of a Ray cluster")
    storage: StoreUrl = Field(
        "sqlite:///retort.db",
        description="the store's URL; the path of a SQLite file is relative to the current folder",
    )
    artifacts: Address = Field(
        "artifacts",
        description="where students are stored: a folder, relative to the current folder, or a URL",
    )
    cache: Address = Field(
        "~/.cache/retort",
        description="where prepared data, teachers, soft targets and trained stages are cached: a "
        "folder or a URL",
    )
    stages: Room = Field(
        5 * 10**9,
        validate_default=False,
        description="the cache keeps trained and pruned students up to this total size, so that no "
        "study trains one twice; 0: none",
    )


def _is_space(config: dict[str, Any]) -> dict[str, Any]:
    SearchSpace.from_config(config)
    return SearchSpace.written_out(config)


class Study(Section):
    """A complete study: all settings of a search."""

    study: Annotated[str, AfterValidator(is_name)] = Field(description="the study's name")
    seed: int = Field(
        0, ge=0, lt=2**31, description="seed of the data split, the search and the trials"
    )
    data: DataSettings = Field(description="the images")
    teacher: Annotated[
        Annotated[TeacherSettings, Tag("one")]
        | Annotated[list[TeacherSettings], Field(min_length=1), Tag("several")],
        Discriminator(lambda given: "several" if isinstance(given, list) else "one"),
    ] = Field(description="the network that students learn from; a list makes an ensemble")
    space: Annotated[dict[str, Any], AfterValidator(_is_space)] = Field(
        description="the methods and the ranges to search, by axis"
    )
    budget: BudgetSettings = Field(BudgetSettings(), description="limits on the costs of a student")
    search: SearchSettings = Field(SearchSettings(), description="how the space is searched")
    final: FinalSettings | None = Field(
        None,
        description="the finalists, which are trained to the end after the search; null: none",
    )
    run: RunSettings = Field(
        RunSettings(), description="where the search runs, and how many trials at a time"
    )

    @model_validator(mode="after")
    def _has_its_target_in_a_cluster(self) -> Self:
        if self.budget.target.resource is not None and self.run.ray == "local":
            raise ValueError(
                "budget.target.resource names a machine of a cluster, but run.ray is local: set "
                "run.ray to auto or an address, or leave out the resource"
            )
        return self

    @property
    def stated_teachers(self) -> tuple[TeacherSettings, ...]:
        """The teachers as the file states them; several make an ensemble."""
        return tuple(self.teacher) if isinstance(self.teacher, list) else (self.teacher,)

    @property
    def teacher_members(self) -> tuple[TeacherMember, ...]:
        """The networks that teach the students: copies, generations and assistants written out."""
        return teaching_members(self.stated_teachers)

    @property
    def teachers(self) -> tuple[TeacherSettings, ...]:
        """The settings of each network that teaches the students; several make an ensemble."""
        return tuple(member.settings for member in self.teacher_members)

    @property
    def goal(self) -> Goal:
        """The objectives of the search."""
        return Goal.of(self.search.objective, self.search.minimize)

    def search_space(self) -> SearchSpace:
        """Return the methods and ranges to search."""
        return SearchSpace.from_config(self.space)
