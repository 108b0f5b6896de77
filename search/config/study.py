"""A study, typed: the keys of a study file, and their defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from search.config.data_settings import DataSettings
from search.config.fields import (
    Address,
    Section,
    StoreUrl,
    is_name,
)
from search.config.final_settings import FinalSettings
from search.config.target_settings import TargetSettings
from search.config.teacher_members import TeacherMember, teaching_members
from search.config.teacher_settings import TeacherSettings
from search.objectives.budget import Budget
from search.objectives.goal import (
    BEST_WEIGHT,
    DEFAULT_MINIMIZED,
    DEFAULT_OBJECTIVE,
    MOST_ACCURATE,
    MOST_MINIMIZED,
    Goal,
)
from search.objectives.limits import limit_of
from search.objectives.metrics import metric_of
from search.objectives.units import Room, Seconds
from spaces.search_space import SearchSpace

_WEIGHTS = {"best": BEST_WEIGHT, "frontier": 0.0}


class BudgetSettings(Budget):
    """The budget, and the target on which its limits must hold."""

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
    goal: Annotated[float, Field(ge=0, le=1)] | Literal["best", "frontier"] | None = Field(
        None,
        description="what the sampler gp looks for: best, the best student within the budget; "
        "frontier, good students of all costs within it; or a weight between 0 (frontier) and 1 "
        "(the best student alone), best being 0.5; null: best where the budget limits a cost",
    )
    prefer: Literal["best", "smallest_within_noise"] = Field(
        MOST_ACCURATE,
        description="which student within the budget is chosen: best; or "
        "smallest_within_noise, the cheapest one (by the first cost to minimise) whose estimate is "
        "within a standard error of the best one's",
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
        "predicted time, but for the first four views",
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
    budget: BudgetSettings = Field(
        BudgetSettings(), description="limits on a student's costs, and floors of its quality"
    )
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
        search = self.search
        return Goal.of(search.objective, search.minimize, weight=self._weight, prefer=search.prefer)

    @property
    def _weight(self) -> float:
        wanted = self.search.goal
        if wanted is None:
            wanted = "best" if self.budget.limits() else "frontier"
        return _WEIGHTS[wanted] if isinstance(wanted, str) else wanted

    def search_space(self) -> SearchSpace:
        """Return the methods and ranges to search."""
        return SearchSpace.from_config(self.space)
