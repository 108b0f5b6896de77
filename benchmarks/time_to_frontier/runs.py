"""The runs of the comparison: an arm, a seed, a number of minutes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

OURS = "retort"
# These share the stages of a trial with ours; the other one trains in its own way.
SHARING = ("tune-optuna", "tune-optuna-asha", "tune-random", "constrained-tpe")
NATURAL = "natural"
BASELINES = (*SHARING, NATURAL)
# Ray starts a process for each trial, unless it is told not to.
COLD = "cold workers"
# The teacher runs in every step.
LIVE = "live teacher"
# The changes to the study that remove one part of it each.
ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "without admission": ("budget.size=null", "budget.latency=null"),
    "without stopping": ("search.stopping=false",),
    "without branches": ("search.branches=0",),
    "without kept stages": ("run.stages=0",),
    "tpe in place of gp": ("search.sampler=tpe",),
    "random in place of gp": ("search.sampler=random",),
    COLD: (),
    LIVE: (),
}


@dataclass(frozen=True)
class Run:
    """An arm's run from one seed, for at most this many minutes."""

    arm: str
    seed: int
    minutes: float

    @property
    def is_ours(self) -> bool:
        return self.arm not in BASELINES


@dataclass(frozen=True)
class Terms:
    """The minutes of each baseline's run, and our share of them."""

    minutes: float
    share: float

    def run(self, arm: str, seed: int) -> Run:
        """Return an arm's run under these terms."""
        share = 1.0 if arm in BASELINES else self.share
        # Rounded, because it is looked up in the CSV: 7 minutes by 0.1 are not 0.7000000000000001.
        return Run(arm, seed, float(f"{self.minutes * share:.6g}"))

    def planned(self, arms: Sequence[str], seeds: Sequence[int]) -> list[Run]:
        """Return each arm with each seed; the arms' order rotates from seed to seed."""
        return [
            self.run(arms[(place + seed) % len(arms)], seed)
            for seed in seeds
            for place in range(len(arms))
        ]

    def chosen(self, runs: Collection[Run], arms: Sequence[str]) -> list[Run]:
        """Return the runs of these arms under these terms, by arm, then by seed."""
        chosen = [run for run in runs if run.arm in arms and run == self.run(run.arm, run.seed)]
        return sorted(chosen, key=lambda run: (arms.index(run.arm), run.seed))
