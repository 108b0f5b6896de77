"""Records of studies, trials and measurements, which are stored and shown. Plain, frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Scalar = bool | int | float | str

TRAINING = "distil"
"""The stage that trains a student before its pruning; a stored name."""


class StudyState(StrEnum):
    """The state of a study."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class TrialState(StrEnum):
    """The state of a trial; only a COMPLETE trial has an artifact and may be on the frontier."""

    RUNNING = "running"
    COMPLETE = "complete"
    INFEASIBLE = "infeasible"  # breaks the budget or contradicts itself; usually never trained
    STOPPED = "stopped"  # stopped early at a rung
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class TrialKind(StrEnum):
    """The purpose of a trial; the values are stored names."""

    SEARCH = "search"  # a recipe that the sampler proposed, or a branch of it
    FINAL = "final"  # a recipe of the search, trained for the final number of epochs
    REFIT = "refit"  # the chosen final, trained on training and validation images together


@dataclass(frozen=True)
class Purpose:
    """The kind of a trial, and the number of the trial whose recipe it trains again, if any."""

    kind: TrialKind
    repeats: int | None = None


IN_SEARCH = Purpose(TrialKind.SEARCH)
"""The purpose of a trial of the search, which repeats no other."""


Cost = Mapping[str, float]
"""The costs of a student, measured on its served file.

The keys are the stored names of `search.objectives.limits`, each with its unit. Unmeasured costs
are left out. The latency is not measured if a counted cost already breaks the budget.
"""


@dataclass(frozen=True)
class Measurement:
    """A metric's value on a part of the data, and its standard error; None if that is unknown."""

    value: float
    error: float | None = None


Quality = Mapping[str, Measurement]
"""A network's quality on a part of the data, by the names of `search.objectives.metrics`.

The recall of a class that the study's budget bounds has a name such as `recall.stop`; see
`search.objectives.floors`.
"""


@dataclass(frozen=True, kw_only=True)
class CostSetting:
    """The setting for which costs are valid: images, classes, and the target.

    `runtime` contains the name and version of the target's runtime, and a digest of the versions of
    the code that makes the student's file.
    """

    channels: int
    image_size: int
    classes: int
    processor: str
    device: str
    threads: int
    runtime: str


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The part of a recipe that decides its cost: methods, parameters and versions, as JSON."""

    student: str
    pruning: str
    quantization: str


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One point of a learning curve; `score` is the study's metric on validation images.

    The score is measured on the float32 network. In the stage `tune`, it is measured on the network
    with fake quantization (quantization-aware training). `floors` are the values that the budget's
    floors bound, by their stored names, measured in the same way.
    """

    stage: str
    epoch: int
    loss: float
    score: float
    learning_rate: float
    floors: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage of a trial: its duration, and the student's score and cost after it.

    Attributes:
        name: the name of the stage; a stored name.
        seconds: its duration; for a reused stage, the time to read it from the cache.
        score: the study's metric after the stage; None if not measured.
        cost: costs after the stage. Some are counted on the network at the end of the stage. The
            others are measured on the student's file, exported as float32 or quantized, when the
            student is packaged. The files of all stages that changed it are then timed alternately.
        reused: whether the stage was read from the cache.
        no_op: the likely reason why the stage had no effect; None if it had one.
    """

    name: str
    seconds: float
    score: float | None = None
    cost: Cost = field(default_factory=dict)
    reused: bool = False
    no_op: str | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactRecord:
    """A student's artifact: its folder, relative to the study's artifacts folder, and its hash."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """The reason for a trial's failure; `kind` is a stored name such as `out_of_memory`."""

    kind: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch of a trial: its trained student with another pruning or number format."""

    params: Mapping[str, Scalar]
    outcome: "Outcome"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a trial, which the store writes in one transaction.

    `violations` are those of `Budget.violations`. `reason` is why the trial was not completed; of a
    complete trial, which floors its student breaks.

    The store records each of `branches` as a trial whose parent is this one. `no_op` joins the
    stages' own `no_op`, for lists of trials.
    """

    state: TrialState
    cost: Cost | None = None
    quality: Quality = field(default_factory=dict)
    reason: str | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    artifact: ArtifactRecord | None = None
    failure: FailureRecord | None = None
    stages: tuple[StageRecord, ...] = ()
    epochs: tuple[EpochRecord, ...] = ()
    hardware: Mapping[str, Scalar] = field(default_factory=dict)
    duration_s: float = 0.0
    branches: tuple[Branch, ...] = ()
    no_op: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial as the store records it.

    `number` counts from 0 within the study. `parent` is the number of the trial that trained the
    student; None if this trial trained it. `test` is the quality of its artifact on the test
    images, which the search never uses. `attempts` counts the starts: a trial starts again after an
    interruption, or after its process died. `repeats` is the number of the trial whose recipe this
    trial trains again: of the search for a final, of the final for a refit; None in the search. A
    refit has no quality on validation images, because it was trained on them.
    """

    study: str
    number: int
    state: TrialState
    params: Mapping[str, Scalar]
    seed: int
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    test: Quality = field(default_factory=dict)
    parent: int | None = None
    attempts: int = 1
    kind: TrialKind = TrialKind.SEARCH
    repeats: int | None = None


@dataclass(frozen=True, kw_only=True)
class StudyExtent:
    """The extent of a study: the number of its trials, and of trials with an outcome.

    Neither number ever decreases, because an interruption is no outcome. So a store with lower
    numbers is an older copy.
    """

    trials: int
    ended: int

    def is_behind(self, other: "StudyExtent") -> bool:
        """Return whether one of the other's numbers is larger than this one's."""
        return self.trials < other.trials or self.ended < other.ended

    def __str__(self) -> str:
        return f"{self.trials} trials ({self.ended} ended)"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The number of trials of one kind, and the sum of their seconds."""

    trials: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingDone:
    """The epochs of a trial's training before its pruning.

    `reused` is True if another trial had trained the same student in the same way, so that the
    cache supplied all epochs.
    """

    epochs: int
    reused: bool


@dataclass(frozen=True, kw_only=True)
class TeacherRecord:
    """The teacher, measured in the same way as its students: exported, with their runtime and data.

    `quality` is measured on the validation images, `test` on the test images.
    """

    name: str
    digest: str
    quality: Quality
    cost: Cost
    test: Quality = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The lease of the process that runs a study; no other process may run the study meanwhile.

    Attributes:
        token: identifies the lease; the store refuses writes by a process that lost its lease.
        host: the machine's name, for people.
        machine: identifies the machine, or the container with its own process numbers; empty if
            unknown.
        pid: the process number on that machine.
        process_start: distinguishes the process from a later one with the same number.
        since: the start of the lease by that machine's clock, for people.
        beats: a counter that increases every few seconds while the process lives. It is used
            instead of times, because the clocks of two machines differ.
        stopping: whether the process was asked to end the search after the running trials.
    """

    token: str
    host: str
    machine: str
    pid: int
    process_start: str
    since: datetime
    beats: int = 0
    stopping: bool = False

    def __str__(self) -> str:
        """Return text such as `process 4711 on lab-3, since 2026-11-21 09:34:17 UTC`."""
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as the store records it.

    `config` is the whole study as JSON values. `data_digest` is the digest of the prepared data;
    None in a study of an older version of retort. `elapsed_s` is the search time of all its runs
    together, and `finals_s` the time in which they trained finalists. `lease` is the lease of the
    process that runs it; that process may have died. `identity` distinguishes the study from all
    other studies in all stores; a copy of the store has the same identity. `claims` are the lease
    tokens with which the study claimed its artifacts folder. `activity` is what its run does now,
    such as `training the teacher: epoch 3 of 20`; None while trials of the search run. `failure` is
    why its last run failed; None if it did not fail. `views` and `final_views` are the numbers of
    augmented views with cached logits for the search and for its finalists; None until they are
    counted, and if the teacher runs in each step.
    """

    name: str
    state: StudyState
    config: Mapping[str, object]
    artifacts: str
    teacher: TeacherRecord | None
    created_at: datetime
    changed_at: datetime
    data_digest: str | None = None
    elapsed_s: float = 0.0
    lease: Lease | None = None
    identity: str = ""
    claims: tuple[str, ...] = ()
    activity: str | None = None
    failure: str | None = None
    finals_s: float = 0.0
    views: int | None = None
    final_views: int | None = None
