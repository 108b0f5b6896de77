"""How long the frontier takes: retort against what a user would write instead.

    python -m benchmarks.time_to_frontier DATA --out FOLDER [--seeds 3] [--minutes 10]

DATA is the folder of Fashion-MNIST's four files. All arms have the same space, data, teacher,
epochs, cores and seeds, and run one after the other, their order turned from seed to seed:

    retort             as it is
    tune-optuna        Ray Tune with a multi-objective OptunaSearch, warm workers, and a penalty for
                       what breaks the budget, as their documents show it
    tune-optuna-asha   the same with ASHA
    tune-random        the same with random recipes
    constrained-tpe    Optuna alone: its TPE with constraints
    natural            tune-optuna, training with a live teacher and a DataLoader

All but the last share the stages of a trial and the cached logits, so that only the orchestration
differs. Every baseline runs for the same minutes; ours for a share of them. `--ablations` runs ours
without its parts in place of the baselines.

The students that moved a frontier are measured again when all is over: on the test images, their
latencies in turns. The hypervolume is of those that fit the budget, in (error, bytes, latency), as
a share of the box between nothing and (50%, the budget). FOLDER keeps the logs and the plot.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.time_to_frontier.constrained_tpe import run_constrained
from benchmarks.time_to_frontier.log import log_epoch, log_student
from benchmarks.time_to_frontier.plain_tune import Plan, run_plain
from benchmarks.time_to_frontier.report import OURS, comparison, draw
from benchmarks.time_to_frontier.traces import Trace, measured_again, read_trace
from search.depot import Depot
from search.keeping.holding import beating, this_process
from search.preparing.preparation import open_task, prepare_task
from search.progress import Silent
from search.records import EpochRecord, Outcome, Scalar
from search.settings.config import Study
from search.settings.study_file import load_study
from search.store import Store
from search.study.tuning import run_trials

_FILE = Path(__file__).parent / "problem.yaml"
BASELINES = ("tune-optuna", "tune-optuna-asha", "tune-random", "constrained-tpe", "natural")
# What is changed of the study to do without one part of it.
ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "without admission": ("budget.size=null", "budget.latency=null"),
    "without stopping": ("search.stopping=false",),
    "without branches": ("search.branches=0",),
    "without kept stages": ("run.stages=0",),
    "tpe in place of gp": ("search.sampler=tpe",),
    "random in place of gp": ("search.sampler=random",),
}


@dataclass
class Stopwatch(Silent):
    """Writes down what was trained and what ended."""

    log: Path
    artifacts: Path

    def trial_advanced(self, number: int, point: EpochRecord) -> None:
        log_epoch(self.log, point.stage)

    def trial_ended(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        log_student(self.log, outcome, self.artifacts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10, help="of each baseline")
    parser.add_argument("--share", type=float, default=0.2, help="of that, for ours")
    parser.add_argument("--arms", nargs="*", choices=BASELINES, default=list(BASELINES))
    parser.add_argument("--ablations", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    arms = (OURS, *(ABLATIONS if options.ablations else options.arms))
    traces = []
    for seed in range(options.seeds):
        turn = seed % len(arms)
        for arm in (*arms[turn:], *arms[:turn]):
            trace = _run(arm, seed, options)
            traces.append(trace)
            print(
                f"seed {seed}, {arm}: {trace.finished} students, {trace.epochs} epochs", flush=True
            )
    _report(traces, options)


def _report(traces: list[Trace], options: argparse.Namespace) -> None:
    study = _study(options, seed=0)
    dataset = open_task(prepare_task(study, Silent())[0]).dataset
    order = [OURS, *BASELINES, *ABLATIONS]
    found = measured_again(traces, study.budget, dataset, study.budget.target)
    found.sort(key=lambda trace: (order.index(trace.arm), trace.seed))
    table = comparison(found, study.budget)
    (options.out / "table.md").write_text(table + "\n")
    draw(found, study.budget, options.out / "hypervolume.png")
    print(f"\n{table}")


def _study(options: argparse.Namespace, *, seed: int, changes: tuple[str, ...] = ()) -> Study:
    return load_study(
        _FILE,
        [
            f"data.path={options.data.absolute()}",
            f"seed={seed}",
            f"run.cache={options.out.absolute() / 'cache'}",
            f"run.artifacts={options.out.absolute() / 'artifacts'}",
            *changes,
        ],
    )


def _run(arm: str, seed: int, options: argparse.Namespace) -> Trace:
    name = f"{arm.replace(' ', '-')}-{seed}"
    ours = arm == OURS or arm in ABLATIONS
    seconds = 60 * options.minutes * (options.share if ours else 1.0)
    study = _study(
        options,
        seed=seed,
        changes=(
            f"study={name}",
            f"search.max_time={seconds}s",
            *ABLATIONS.get(arm, ()),
        ),
    )
    spec, _ = prepare_task(study, Silent())
    # No run is given what another has trained.
    spec = replace(spec, stages=Depot.of(options.out / "stages" / f"{name}-{os.getpid()}"))
    log = options.out / f"{name}.jsonl"
    log.unlink(missing_ok=True)
    plan = Plan(study, spec, seconds, os.cpu_count() or 1, log)
    start = time.time()
    if ours:
        _run_ours(plan, store=options.out / f"{name}-{os.getpid()}.db")
    elif arm == "constrained-tpe":
        run_constrained(plan)
    else:
        run_plain(arm, plan)
    trace = read_trace(log, arm=arm, seed=seed, start=start, seconds=time.time() - start)
    (options.out / f"{name}.json").write_text(json.dumps({"start": start, "seconds": seconds}))
    return trace


def _run_ours(plan: Plan, *, store: Path) -> None:
    study, spec = plan.study, plan.spec
    with Store.open(f"sqlite:///{store}") as opened:
        artifacts, holder = str(spec.artifacts), this_process()
        opened.create_study(study.study, config={}, artifacts=artifacts, holder=holder)
        with beating(opened, study.study) as heartbeat:
            run_trials(study, spec, opened, Stopwatch(plan.log, spec.artifacts.folder), heartbeat)


if __name__ == "__main__":
    main()
