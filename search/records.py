"""What is stored and shown: studies, trials and what was measured of them. Plain, frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Scalar = bool | int | float | str

TRAINING = "distil"
"""The stage in which a student learns, before anything is pruned; a stored name."""


class StudyState(StrEnum):
    """Where a study stands."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class TrialState(StrEnum):
    """Where a trial stands; only COMPLETE ones have an artifact and may be on the frontier."""

    RUNNING = "running"
    COMPLETE = "complete"
    INFEASIBLE = "infeasible"  # its cost breaks the budget; where known before, never trained
    STOPPED = "stopped"  # hopeless at a rung
    FAILED = "failed"
    INTERRUPTED = "interrupted"


Cost = Mapping[str, float]
"""What a student costs whoever serves it, measured on the file that is served.

By the stored names of `search.objectives.limits`, each with its unit. What was not measured is left
out, as what the target's clock tells where a counted limit had already been broken.
"""


@dataclass(frozen=True)
class Measurement:
    """A metric's value on a part of the data, and its standard error; None where it isn't known."""

    value: float
    error: float | None = None


Quality = Mapping[str, Measurement]
"""How well a network does on a part of the data, by the names of `search.objectives.metrics`."""


@dataclass(frozen=True, kw_only=True)
class CostSetting:
    """What costs hold for: the images and classes of a study, and the machine that serves.

    `runtime` names what runs the student, its version, and a digest of the versions of what makes
    its file.
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
    """All of a recipe that decides its cost: each a method, its parameters and version, as JSON."""

    student: str
    pruning: str
    quantization: str


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One point of a learning curve; `score` is the study's metric on validation images.

    It is of the float network; in the stage `tune`, of the network under its format's rounding.
    """

    stage: str
    epoch: int
    loss: float
    score: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What one stage of a trial took, and what the student was like after it.

    One that is `reused` had been computed before: its seconds are what fetching it took.

    `score` is the study's metric. Of `cost`, what is counted on the network is known at once;
    what is told by the file is of the student's file as it would be served then, exported in floats
    or quantized. It is measured when the student is shipped, of all stages that gave it another
    shape or format, in turns. `no_op` says that the stage made no difference, and likely why.
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
    """Why a trial failed; `kind` is a short name such as `non_finite` or `out_of_memory`."""

    kind: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """What else was made of a trial's trained student: another pruning, another number format."""

    params: Mapping[str, Scalar]
    outcome: "Outcome"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that a trial's end tells the store, in one transaction.

    `branches` become trials of their own, each naming this one as its parent. `no_op` says which
    stages made no difference, and likely why; it is that of the stages, for those who list trials.
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
    """A trial as the store knows it. `number` counts from 0 within its study.

    `parent` is the number of the trial whose trained student this one took over; None for a trial
    that trained its own. `test` is how its artifact did on the test images, which the search never
    sees. `attempts` counts how often it was started: again after an interruption, or after its
    process died.
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
    """How far a study has come: its trials, and those of them that have an outcome.

    Neither ever falls, as an interruption is no outcome: a store that knows of less is older.
    """

    trials: int
    ended: int

    def is_behind(self, other: "StudyExtent") -> bool:
        """Whether the other knows of something that this one does not."""
        return self.trials < other.trials or self.ended < other.ended

    def __str__(self) -> str:
        return f"{self.trials} trials ({self.ended} ended)"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many trials there are of a kind, and the seconds that they took together."""

    trials: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingDone:
    """How many epochs a trial was trained for before it was pruned, and whether none was its own.

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
    """The process that runs a study, which no other may then run.

    Attributes:
        token: of this one hold; a write by who holds no longer is refused.
        host: the machine's name, for people.
        machine: tells machines, and what shares one's processes, apart; empty where unknown.
        pid: the process, on that machine.
        process_start: tells it from another that was given the same number later.
        since: by that machine's clock; for people.
        beats: grows every few seconds while the process lives. Clocks of two machines differ and
            jump: life is told by this number's growth.
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
        """Such as `process 4711 on lab-3, since 2026-11-21 09:34:17 UTC`."""
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as the store knows it.

    `config` is the whole typed study, as JSON types. `data_digest` is of the prepared data; None
    in a study of an older retort. `elapsed_s` is how long it searched, all its runs together.
    `lease` is who runs it; it may have died since. `identity` tells it from every other study, in
    any store; a copy of the store has the same. `claims` are the holds by which it has, or was
    about to have, its artifacts folder.
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
