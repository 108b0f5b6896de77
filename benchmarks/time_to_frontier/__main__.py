"""How long the frontier takes: retort against what a user would write instead.

    python -m benchmarks.time_to_frontier DATA --out FOLDER [--seeds 0 1 2] [--minutes 10]
    python -m benchmarks.time_to_frontier --out FOLDER --report

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

When a run ends, the students that moved its frontier are measured again at once, on the test images
and with their latencies in turns, and kept in `runs.csv` and `students.csv`. What these hold of the
same arm, seed and minutes is not run again, so that the work can be done in several sessions; all
arms of a seed should see the same machine. One network is measured beside the students of each run,
and the latencies of a seed's runs are compared as multiples of that network's: minutes of a shared
machine differ. The problem's limit of latency was chosen where that network takes 0.056 ms; where
it takes longer, `--latency` sets one that leaves as many recipes.

The report is made from the CSVs alone: of all their runs that had these minutes, or this share of
them where they are ours. The hypervolume is of the students that fit the budget, in (error, bytes,
latency), as a share of the box between nothing and (50%, the budget). The first table is against
the baselines that share our training, which the plot shows, the second against the natural one, the
third against ours without its parts. FOLDER keeps the logs, the artifacts, the tables and, unless
told otherwise, the plot.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ray import tune

from benchmarks.live_teacher import LiveSpec
from benchmarks.time_to_frontier.constrained_tpe import run_constrained
from benchmarks.time_to_frontier.log import log_epoch, log_student
from benchmarks.time_to_frontier.plain_tune import Plan, run_plain
from benchmarks.time_to_frontier.report import comparisons, draw, table
from benchmarks.time_to_frontier.results import keep_trace, read_traces
from benchmarks.time_to_frontier.runs import ABLATIONS, BASELINES, COLD, LIVE, OURS, Run, Terms
from benchmarks.time_to_frontier.traces import Trace, measured_again, read_trace
from search.config.loader import load_study
from search.config.study import Study
from search.files.filestore import FolderStore
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.progress import SilentCallback
from search.ray_backend.trials import run_trials
from search.records import EpochRecord, Outcome, Scalar
from search.storage.leases import beating, this_process
from search.storage.storage import Store

_HERE = Path(__file__).parent
_PROBLEM = _HERE / "problem.yaml"


@dataclass
class Stopwatch(SilentCallback):
    """Callback that logs each trained epoch and each finished student."""

    file: Path
    artifacts: Path

    def on_trial_report(self, number: int, point: EpochRecord) -> None:
        log_epoch(self.file, point.stage)

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        log_student(self.file, outcome, self.artifacts)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    terms = Terms(options.minutes, options.share)
    if not options.report:
        # Fail now, not when the first run ends, if this can't be written to.
        options.csv.mkdir(parents=True, exist_ok=True)
        arms = (OURS, *(ABLATIONS if options.ablations else options.arms))
        for run in terms.planned(arms, options.seeds):
            _carry_out(run, options)
    _report(terms, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--csv", type=Path, default=_HERE, help="the folder of both")
    parser.add_argument("--plot", type=Path, help="a file; default: hypervolume.png in FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10, help="of each baseline")
    parser.add_argument("--share", type=float, default=0.2, help="of that, for ours")
    parser.add_argument("--latency", help="the limit on a slower machine; default: the problem's")
    parser.add_argument("--arms", nargs="*", choices=BASELINES, default=list(BASELINES))
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--again", action="store_true", help="also what the CSVs hold")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args(arguments)
    if options.data is None and not options.report:
        parser.error("DATA must be given, but for --report")
    return options


def _carry_out(run: Run, options: argparse.Namespace) -> None:
    """Run what the CSVs lack, and store the results."""
    told = f"{run.arm}, seed {run.seed}, {run.minutes:g} minutes"
    if run in read_traces(options.csv) and not options.again:
        print(f"{told}: kept from before", flush=True)
        return
    trace = _run(run, options)
    keep_trace(options.csv, trace)
    print(f"{told}: {trace.finished} students, {trace.epochs} epochs", flush=True)


def _report(terms: Terms, options: argparse.Namespace) -> None:
    found = comparisons(read_traces(options.csv), terms, load_study(_PROBLEM).budget)
    text = "\n\n".join(map(table, found)) or "No such runs to compare."
    (options.out / "table.md").write_text(text + "\n")
    if found:
        draw(found[0], options.plot or options.out / "hypervolume.png")
    print(f"\n{text}")


def _study(options: argparse.Namespace, *, seed: int, changes: tuple[str, ...] = ()) -> Study:
    return load_study(
        _PROBLEM,
        [
            f"data.path={options.data.absolute()}",
            f"seed={seed}",
            f"run.cache={options.out.absolute() / 'cache'}",
            f"run.artifacts={options.out.absolute() / 'artifacts'}",
            *([f"budget.latency={options.latency}"] if options.latency else []),
            *changes,
        ],
    )


def _run(run: Run, options: argparse.Namespace) -> Trace:
    name = f"{run.arm.replace(' ', '-')}-{run.seed}"
    allowed = 60 * run.minutes
    changes = (f"study={name}", f"search.max_time={allowed}s", *ABLATIONS.get(run.arm, ()))
    study = _study(options, seed=run.seed, changes=changes)
    spec, _ = prepare_context(study, SilentCallback())
    # No run may use what another one has trained.
    spec = replace(spec, stages=FolderStore.of(options.out / "stages" / f"{name}-{os.getpid()}"))
    if run.arm == LIVE:
        spec = LiveSpec.of(spec, study)
    log = options.out / f"{name}.jsonl"
    log.unlink(missing_ok=True)
    plan = Plan(study, spec, allowed, os.cpu_count() or 1, log)
    start = time.time()
    if run.is_ours:
        store = options.out / f"{name}-{os.getpid()}.db"
        _run_ours(plan, store=store, cold=run.arm == COLD)
    elif run.arm == "constrained-tpe":
        run_constrained(plan)
    else:
        run_plain(run.arm, plan)
    seconds = time.time() - start
    (options.out / f"{name}.json").write_text(json.dumps({"start": start, "seconds": allowed}))
    # Not the study's budget, because an ablation may have none.
    budget = _study(options, seed=run.seed).budget
    trace = read_trace(log, run, start=start, seconds=seconds, budget=budget)
    return measured_again(trace, budget, open_context(spec))


def _run_ours(plan: Plan, *, store: Path, cold: bool) -> None:
    study, spec = plan.study, plan.spec
    with Store.open(f"sqlite:///{store}") as opened:
        artifacts, lease = str(spec.artifacts), this_process()
        opened.create_study(study.study, config={}, artifacts=artifacts, lease=lease)
        callback = Stopwatch(plan.log, spec.artifacts.folder)
        with beating(opened, study.study) as heartbeat, _workers(cold=cold):
            run_trials(study, spec, opened, callback, heartbeat)


@contextmanager
def _workers(*, cold: bool) -> Iterator[None]:
    if not cold:
        yield
        return
    warm = tune.TuneConfig

    def told(**settings: Any) -> tune.TuneConfig:
        return warm(**settings | {"reuse_actors": False})

    with patch.object(tune, "TuneConfig", told):
        yield


if __name__ == "__main__":
    main()
