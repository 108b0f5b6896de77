"""A study, typed: the keys of a study file, and their defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from search.config.fields import Address, AnyPath, Factory, Section, Share, StoreUrl, is_name
from search.config.target_settings import TargetSettings
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_MINIMIZED, DEFAULT_OBJECTIVE, MOST_MINIMIZED, Goal
from search.objectives.limits import limit_of
from search.objectives.metrics import metric_of
from search.objectives.units import Bytes, Room, Seconds
from spaces.search_space import SearchSpace


class DataSettings(Section):
    """The images, and how they are divided into training, validation and test.

    Parts that the data's keeper set apart are used as they are, if both validation and test exist.
    One part that was set apart (an image folder's `val/`, CIFAR's test batch) is the test part,
    which only the final report sees, and validation is split off training. Where nothing was set
    apart, both are split off. Every split is by class, at random, from the seed.
    """

    source: Literal[
        "digits", "folder", "fashion_mnist", "mnist", "cifar10", "cifar100", "npz", "timm"
    ] = Field(description="where the images come from")
    path: AnyPath | None = Field(
        None,
        description="folder or file, relative to the study file's folder; `digits` needs none",
    )
    unlabelled: AnyPath | None = Field(
        None,
        description="folder of images without labels, for methods that use none (label_free)",
    )
    name: str | None = Field(None, description="timm data set name, such as hfds/food101")
    image_size: int = Field(32, ge=8, le=1024, description="images are resized to this square")
    train_images: int | None = Field(None, ge=1, description="use at most so many for training")
    validation_share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        0.15, description="of each class; unused where data hold validation and test"
    )
    test_share: Share = Field(0.15, description="likewise; not used where data hold a test part")
    max_corrupt_share: Share = Field(
        0.01, description="damaged images are named and skipped up to this share of all"
    )
    shift: Share = Field(0.1, description="views are shifted by up to this share of their size")
    flip: bool | None = Field(None, description="mirror views; null: not for digits and MNIST")
    in_memory: Bytes = Field(
        2 * 10**9,
        validate_default=False,
        description="data sets up to this size are held in memory",
    )

    @model_validator(mode="after")
    def _has_what_its_source_needs(self) -> Self:
        if self.source == "timm" and not self.name:
            raise ValueError("source timm needs the data set's name, such as name: hfds/food101")
        if self.source not in ("digits", "timm") and self.path is None:
            raise ValueError(f"source {self.source} needs a path")
        return self


class TeacherTraining(Section):
    """The training of the teacher here, on this data."""

    epochs: int = Field(20, ge=1, description="at most so many passes over the training images")
    learning_rate: float = Field(3e-3, gt=0, description="the highest, after warm-up")
    batch_size: int = Field(128, ge=1, description="images at a time")
    weight_decay: float = Field(0.05, ge=0, description="decoupled, as in AdamW")
    patience: int = Field(5, ge=1, description="stop after so many epochs without improvement")


class TeacherSettings(Section):
    """One teacher: exactly one of `model`, `exported` and `factory`."""

    model: str | None = Field(None, description="a timm model's name")
    pretrained: bool = Field(False, description="load the weights timm names for the model")
    checkpoint: AnyPath | None = Field(
        None,
        description="safetensors or a plain state dict, relative to the study file's folder",
    )
    exported: AnyPath | None = Field(
        None, description="a student that retort exported, relative to the study file's folder"
    )
    factory: Factory | None = Field(
        None,
        description="file.py:function, relative to the study file's folder, or package.module:"
        "function of what is installed; run only with --allow-code",
    )
    train: TeacherTraining | None = Field(None, description="train it here, from what it has")
    image_size: int | None = Field(
        None, ge=8, le=1024, description="pixels it takes; null: as timm says, else as the data"
    )
    mean: list[float] | None = Field(None, description="its own normalisation, per channel")
    std: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="belongs to mean, per channel"
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        origins = [key for key in ("model", "exported", "factory") if getattr(self, key)]
        if len(origins) != 1:
            raise ValueError(f"a teacher has one of model, exported and factory, got {origins}")
        if self.model is None and (self.pretrained or self.checkpoint):
            raise ValueError("pretrained and checkpoint need a model")
        if self.pretrained and self.checkpoint:
            raise ValueError("pretrained and checkpoint exclude one another")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all")
        if self.exported and (self.train or self.mean or self.image_size):
            raise ValueError("an exported teacher is taken as it is: drop train, image_size, mean")
        if self.train and (self.mean or self.image_size):
            raise ValueError(
                "a teacher trained here takes the data's images: drop image_size, mean"
            )
        if self.model and not (self.pretrained or self.checkpoint or self.train):
            raise ValueError(
                "a teacher must know something: set pretrained: true, a checkpoint, or train: {}"
            )
        return self


class BudgetSettings(Budget):
    """The budget, and where it must hold."""

    target: TargetSettings = Field(
        TargetSettings(), description="the machine that the latency is measured for"
    )


def _is_metric(name: str) -> str:
    return metric_of(name).name


def _is_limit(name: str) -> str:
    return limit_of(name).name


class SearchSettings(Section):
    """The goal, the number of recipes to try, and the sampler that proposes them."""

    objective: Annotated[str, AfterValidator(_is_metric)] = Field(
        DEFAULT_OBJECTIVE, description="the metric that is maximised: `retort metrics` lists them"
    )
    minimize: Annotated[
        list[Annotated[str, AfterValidator(_is_limit)]],
        Field(min_length=1, max_length=MOST_MINIMIZED),
    ] = Field(
        list(DEFAULT_MINIMIZED),
        description="the costs that the frontier is of, beside the objective: keys of the budget",
    )
    sampler: Literal["gp", "tpe", "nsga2", "optuna-gp", "random"] = Field(
        "gp", description="who proposes recipes; gp knows what they cost"
    )
    trials: int = Field(
        30, ge=1, description="recipes that are trained, to their end or until stopped"
    )
    max_time: Seconds | None = Field(
        None,
        description="start no trial, and make no branch, later, such as 2h; all runs of the study "
        "together",
    )
    stopping: bool = Field(
        True, description="stop trials that cheaper ones leave behind, a quarter in or later"
    )
    branches: int = Field(
        1,
        ge=0,
        le=16,
        description="settings of each method of pruning, with every quantization that needs no "
        "training, that are made of each trained student; 0: none",
    )
    warm_start: list[Annotated[str, AfterValidator(is_name)]] = Field(
        [], description="like studies in the same store, whose trials teach the sampler"
    )
    views: int = Field(4, ge=1, le=64, description="augmented views of each image")

    @model_validator(mode="after")
    def _minimizes_each_once(self) -> Self:
        if len(set(self.minimize)) < len(self.minimize):
            raise ValueError(f"minimize must name each cost once, but got {self.minimize}")
        return self


class RunSettings(Section):
    """Where the trials run, and how many at a time."""

    parallel: int | None = Field(
        None, ge=1, description="trials at a time; null: as many as the cores, or GPUs, allow"
    )
    cpus: int = Field(1, ge=1, description="cores, and threads, of each trial")
    gpus: float = Field(0, ge=0, description="share of a GPU for each trial")
    retries: int = Field(
        1, ge=0, le=100, description="run a trial again, so often, whose process or node died"
    )
    trial_timeout: Seconds | None = Field(
        None, description="end a trial that has computed for so long, such as 30m; null: never"
    )
    ray: str = Field("local", description="local, auto, or the address of a cluster")
    storage: StoreUrl = Field(
        "sqlite:///retort.db",
        description="the store's URL; a SQLite file is relative to the current folder",
    )
    artifacts: Address = Field(
        "artifacts",
        description="where students are kept: a folder, relative to the current folder, or a URL",
    )
    cache: Address = Field(
        "~/.cache/retort",
        description="where prepared data, teachers, soft targets and trained stages are kept: a "
        "folder or a URL",
    )
    stages: Room = Field(
        5 * 10**9,
        validate_default=False,
        description="trained and pruned students are kept in the cache up to this size, so that "
        "no study trains one twice; 0 keeps none",
    )


def _is_space(config: dict[str, Any]) -> dict[str, Any]:
    SearchSpace.from_config(config)
    return SearchSpace.written_out(config)


class Study(Section):
    """A complete study: everything that a search needs to know."""

    study: Annotated[str, AfterValidator(is_name)] = Field(description="the study's name")
    seed: int = Field(0, ge=0, lt=2**31, description="of the division, the search and the trials")
    data: DataSettings = Field(description="the images")
    teacher: Annotated[
        Annotated[TeacherSettings, Tag("one")]
        | Annotated[list[TeacherSettings], Field(min_length=1), Tag("several")],
        Discriminator(lambda given: "several" if isinstance(given, list) else "one"),
    ] = Field(description="the network whose knowledge is kept; a list makes an ensemble")
    space: Annotated[dict[str, Any], AfterValidator(_is_space)] = Field(
        description="the methods and the ranges to search, by axis"
    )
    budget: BudgetSettings = Field(BudgetSettings(), description="the most a student may cost")
    search: SearchSettings = Field(SearchSettings(), description="how the space is searched")
    run: RunSettings = Field(RunSettings(), description="where and how wide it runs")

    @model_validator(mode="after")
    def _has_its_target_in_a_cluster(self) -> Self:
        if self.budget.target.resource is not None and self.run.ray == "local":
            raise ValueError(
                "budget.target.resource names a machine of a cluster, but run.ray is local: set "
                "run.ray to auto or an address, or drop the resource"
            )
        return self

    @property
    def teachers(self) -> tuple[TeacherSettings, ...]:
        """The teachers; several make an ensemble."""
        return tuple(self.teacher) if isinstance(self.teacher, list) else (self.teacher,)

    @property
    def goal(self) -> Goal:
        """The objectives of the search."""
        return Goal.of(self.search.objective, self.search.minimize)

    def search_space(self) -> SearchSpace:
        """Return the opened part of the catalogue."""
        return SearchSpace.from_config(self.space)
