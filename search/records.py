"""Records that are stored and shown: studies, trials and their measurements. Plain, frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Scalar = bool | int | float | str

TRAINING = "distil"
"""The stage in which a student learns, before it is pruned; a stored name."""


class StudyState(StrEnum):
    """The state of a study."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class TrialState(StrEnum):
    """The state of a trial; only COMPLETE ones have an artifact and may be on the frontier."""

    RUNNING = "running"
    COMPLETE = "complete"
    INFEASIBLE = "infeasible"  # its cost breaks the budget; never trained if this was known before
    STOPPED = "stopped"  # hopeless at a rung
    FAILED = "failed"
    INTERRUPTED = "interrupted"


Cost = Mapping[str, float]
"""The costs of serving a student, measured on the file that is served.

The keys are the stored names of `search.objectives.limits`, each with its unit. Unmeasured costs
are left out, as are the target's times if a counted limit had already been broken.
"""


@dataclass(frozen=True)
class Measurement:
    """A metric's value on a part of the data, and its standard error; None where it isn't known."""

    value: float
    error: float | None = None


Quality = Mapping[str, Measurement]
"""A network's quality on a part of the data, by the names of `search.objectives.metrics`."""


@dataclass(frozen=True, kw_only=True)
class CostSetting:
    """The setting that costs hold for: a study's images and classes, and the machine that serves.

    `runtime` names the runtime of the student, its version, and a digest of the versions of the
    code that makes its file.
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

    The score is of the float network; in the stage `tune`, of the network under its format's
    rounding.
    """

    stage: str
    epoch: int
    loss: float
    score: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """The time of one stage of a trial, and the student's score and cost after it.

    A `reused` stage had been computed before: its seconds are the time to fetch it.

    `score` is the study's metric. The costs that are counted on the network are known at once. The
    costs that are measured on the file are of the student's file as it would be served then,
    exported in floats or quantized. They are measured when the student is shipped, for all stages
    that gave it another shape or format, in turns. `no_op` says that the stage made no difference,
    and the likely reason.
    """

    name: str
    seconds: float
    score: float | None = None
    cost: Cost = field(default_factory=dict)
    reused: bool = False
    no_op: str | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactRecord:
    """A finished student on disk: its folder, relative to the study's artifacts, and its hash."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """The reason for a trial's failure; `kind` is a name like `non_finite` or `out_of_memory`."""

    kind: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Another result of a trial's trained student: another pruning, another number format."""

    params: Mapping[str, Scalar]
    outcome: "Outcome"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The record of a trial's end, which the store writes in one transaction.

    `branches` become trials of their own, each naming this one as its parent. `no_op` names the
    stages that made no difference, and the likely reason; it repeats the stages' own, for lists of
    trials.
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
    """A trial as the store records it. `number` counts from 0 within its study.

    `parent` is the number of the trial whose trained student this one took over; None for a trial
    that trained its own. `test` is the quality of its artifact on the test images, which the search
    never sees. `attempts` counts how often it was started: again after an interruption, or after
    its process died.
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


@dataclass(frozen=True, kw_only=True)
class StudyExtent:
    """The extent of a study: the number of its trials, and of those that have an outcome.

    Neither number ever falls, because an interruption is no outcome: a store with lower numbers is
    older.
    """

    trials: int
    ended: int

    def is_behind(self, other: "StudyExtent") -> bool:
        """Return whether the other counts something that this one does not."""
        return self.trials < other.trials or self.ended < other.ended

    def __str__(self) -> str:
        return f"{self.trials} trials ({self.ended} ended)"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The number of trials of a kind, and the seconds that they took together."""

    trials: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingDone:
    """The epochs of a trial's training before it was pruned, and whether all were reused.

    `reused` means that another trial had trained the same student in the same way.
    """

    epochs: int
    reused: bool


@dataclass(frozen=True, kw_only=True)
class TeacherRecord:
    """The teacher, measured as its students are: exported, in their runtime, on their data.

    `quality` is on validation images, `test` on the test images.
    """

    name: str
    digest: str
    quality: Quality
    cost: Cost
    test: Quality = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The process that runs a study, which no other may run meanwhile.

    Attributes:
        token: identifies this one hold; a write by a process that lost its hold is refused.
        host: the machine's name, for people.
        machine: distinguishes machines, and containers that don't share processes; empty where
            unknown.
        pid: the process, on that machine.
        process_start: distinguishes it from a later process with the same number.
        since: by that machine's clock; for people.
        beats: grows every few seconds while the process lives. Clocks of two machines differ and
            jump, so this number's growth is the sign of life.
        stopping: whether it was asked to let running trials end, and to start no other.
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

    `config` is the whole typed study, as JSON types. `data_digest` is of the prepared data; None in
    a study of an older retort. `elapsed_s` is how long it searched, in all its runs together.
    `lease` is the process that runs it; it may have died since. `identity` distinguishes it from
    every other study, in any store; a copy of the store has the same. `claims` are the holds by
    which it has, or was about to have, its artifacts folder.
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
