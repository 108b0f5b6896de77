"""How long the frontier takes: retort against Ray Tune with OptunaSearch.

    python -m benchmarks.time_to_frontier DATA --out FOLDER [--seeds 3] [--trials 24]

DATA is the folder of Fashion-MNIST's four files. All arms share the space, data, teacher, epochs,
soft targets and the stages of a trial, and run one after the other, their order turned from seed
to seed. The hypervolume is of feasible, exported, measured, fully trained students in (error,
bytes, latency), as shares of the box between nothing and (error 50%, the budget). For each arm
and seed FOLDER holds what ended when (JSON lines); the tables are printed as markdown.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.plain_tune import ARMS, run_plain
from search.config import Study
from search.frontier import hypervolume
from search.preparation import TaskSpec, prepare_task
from search.progress import Silent
from search.records import Outcome, Scalar, TrialState
from search.store import Store
from search.study import run_trials
from search.study_file import load_study

_WORST_ERROR = 0.5
_FILE = Path(__file__).parent / "time_to_frontier.yaml"


@dataclass
class Stopwatch(Silent):
    """Writes down what ended when."""

    log: Path

    def trial_ended(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        if outcome.state is TrialState.COMPLETE and outcome.quality and outcome.cost:
            line = {
                "time": time.time(),
                "accuracy": outcome.quality.accuracy,
                "size_bytes": outcome.cost.size_bytes,
                "latency_ms": outcome.cost.latency_ms,
            }
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Trace:
    """An arm's hypervolume over time: seconds since its start, and the volume from then on."""

    points: tuple[tuple[float, float], ...]
    seconds: float
    feasible: float

    @property
    def final(self) -> float:
        return self.points[-1][1] if self.points else 0.0

    def reaches(self, volume: float) -> float | None:
        """Seconds until the volume is reached; None where it never is."""
        return next((seconds for seconds, found in self.points if found >= volume), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24, help="of each plain arm")
    parser.add_argument("--ours", type=int, default=12, help="of retort")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    traces: dict[str, list[Trace]] = {}
    for seed in range(options.seeds):
        study = load_study(
            _FILE,
            [
                f"data.path={options.data.absolute()}",
                f"seed={seed}",
                f"run.cache={options.out.absolute() / 'cache'}",
                f"run.artifacts={options.out.absolute() / f'artifacts-{seed}'}",
                f"search.trials={options.ours}",
            ],
        )
        spec, _ = prepare_task(study, Stopwatch(options.out / "preparation"))
        arms = ("retort", *ARMS)
        for arm in (*arms[seed % len(arms) :], *arms[: seed % len(arms)]):
            trace = _run(arm, study, spec, options, seed)
            traces.setdefault(arm, []).append(trace)
            print(f"seed {seed} {arm}: {trace.final:.4f} in {trace.seconds:.0f} s", flush=True)
    _print(traces)


def _run(arm: str, study: Study, spec: TaskSpec, options: argparse.Namespace, seed: int) -> Trace:
    log = options.out / f"{arm}-{seed}.jsonl"
    log.unlink(missing_ok=True)
    start = time.time()
    if arm == "retort":
        with Store.open(f"sqlite:///{options.out / f'retort-{seed}-{os.getpid()}.db'}") as store:
            store.create_study(study.study, config={}, artifacts=str(spec.artifacts))
            run_trials(study, spec, store, Stopwatch(log))
    else:
        run_plain(
            arm,
            study.search_space(),
            spec,
            trials=options.trials,
            parallel=os.cpu_count() or 1,
            seed=seed,
            log=log,
        )
    return _trace(log, study, start=start, seconds=time.time() - start)


def _trace(log: Path, study: Study, *, start: float, seconds: float) -> Trace:
    ended = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    bounds = study.budget.limits()
    seen: list[tuple[float, float, float]] = []
    points = []
    for trial in sorted(ended, key=lambda trial: float(trial["time"])):
        point = (
            (1 - trial["accuracy"]) / _WORST_ERROR,
            trial["size_bytes"] / bounds["size_bytes"],
            trial["latency_ms"] / bounds["latency_ms"],
        )
        if max(point) < 1:
            seen.append(point)
            points.append((trial["time"] - start, hypervolume(seen, (1.0, 1.0, 1.0))))
    return Trace(tuple(points), seconds, len(seen) / len(ended) if ended else 0.0)


def _print(traces: Mapping[str, list[Trace]]) -> None:
    print("\n| arm | hypervolume, median (range) | seconds, median | feasible students |")
    print("|---|---|---|---|")
    for arm, runs in traces.items():
        finals = sorted(run.final for run in runs)
        print(
            f"| {arm} | {median(finals):.4f} ({finals[0]:.4f} to {finals[-1]:.4f}) | "
            f"{median(run.seconds for run in runs):.0f} | "
            f"{median(run.feasible for run in runs):.0%} |"
        )
    print("\n| baseline | its seconds ÷ retort's to its final hypervolume, by seed |")
    print("|---|---|")
    for arm in traces.keys() - {"retort"}:
        ratios = []
        for base, ours in zip(traces[arm], traces["retort"], strict=True):
            reached = ours.reaches(base.final)
            ratios.append("never" if reached is None else f"{base.seconds / reached:.1f}")
        print(f"| {arm} | {', '.join(ratios)} |")


if __name__ == "__main__":
    main()
