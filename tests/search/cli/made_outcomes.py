"""Trials as they may end, to fill a store with."""

from collections.abc import Mapping
from dataclasses import replace

from search.records import (
    ArtifactRecord,
    FailureRecord,
    Outcome,
    Scalar,
    StageRecord,
    TeacherRecord,
    TrialState,
)
from tests.measured import cost, quality

PARAMS: Mapping[str, Scalar] = {
    "student": "timm",
    "student.timm.model": "test_resnet",
    "distillation": "labels",
    "pruning": "none",
    "quantization": "float32",
}
PRUNED = {**PARAMS, "pruning": "magnitude", "pruning.magnitude.ratio": 0.25}
COST = cost(
    size_bytes=200_000, parameters=50_000, macs=2_000_000, latency_ms=0.5, latency_p95_ms=0.6
)
COMPLETE = Outcome(
    state=TrialState.COMPLETE,
    cost=COST,
    quality=quality(accuracy=0.9, agreement=0.95),
    artifact=ArtifactRecord(path="trial-00000", sha256="ab" * 32),
    stages=(
        StageRecord(
            name="distil",
            seconds=2.5,
            score=0.91,
            cost=cost(parameters=50_000, size_bytes=210_000, latency_ms=0.75),
        ),
    ),
    hardware={"processor": "one of these", "threads": 1, "device": "cpu"},
)
SMALLER = replace(
    COMPLETE, cost={**COST, "size_bytes": 80_000}, quality=quality(accuracy=0.8, agreement=0.8)
)
NO_FASTER = replace(
    COMPLETE, no_op="prune: one image takes no less time\nquantize: the file is no smaller [so]"
)
WORSE = replace(COMPLETE, quality=quality(accuracy=0.7, agreement=0.7))
INFEASIBLE = Outcome(
    state=TrialState.INFEASIBLE,
    cost=cost(size_bytes=450_000, parameters=50_000, macs=2_000_000),
    reason="size 450 KB is above 300 KB",
    violations={"size_bytes": 0.5},
)
STOPPED = Outcome(state=TrialState.STOPPED, reason="worse than half of the trials at epoch 2")
FAILED = Outcome(
    state=TrialState.FAILED,
    failure=FailureRecord(kind="non_finite", message="the loss is nan", traceback="Traceback [0]"),
)
TEACHER = TeacherRecord(
    name="resnet18", digest="cd" * 32, quality=quality(accuracy=0.95), cost=COST
)
