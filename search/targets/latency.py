"""Timing of one image at a time. Only NumPy is imported: the agent uses this file on boards.

Other processes disturb a measurement in two ways. They take the processor away in the middle of a
run: the run's time then exceeds the processor time of its thread. Or they share caches, memory and
clock rate with it: a whole round of runs is then slower than other rounds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_WARM_UP_S = 0.05
_ROUNDS = 7
_ROUND_S = 0.03
_RUNS_AT_LEAST = 5
# Disturbed rounds are repeated, up to this number of rounds and seconds.
_MOST_ROUNDS = 28
_MOST_S = 10.0
# A run is disturbed if its thread had no processor for a larger share of the run's time.
_MOST_WAITED = 0.05
# A round is disturbed if its median exceeds the lowest one by a larger share.
_MOST_SCATTER = 0.1


class Served(Protocol):
    """A model that can be timed."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its input."""

    @property
    def computes_in_caller(self) -> bool:
        """Whether the thread that calls `predict` computes until it returns."""

    def predict(self, images: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Clocks:
    """The clocks of a measurement, in seconds: of the wall, and of this thread's processor time."""

    wall: Callable[[], float] = time.perf_counter
    thread: Callable[[], float] = time.thread_time


@dataclass(frozen=True)
class Latency:
    """Latency of one image, in milliseconds, over the chosen rounds.

    Attributes:
        median_ms: median of all undisturbed runs.
        p95_ms: their 95th percentile.
        rounds_ms: the median of each round, in the order of the measurement.
        disturbed: the share of the rounds that other processes disturbed. Above 0, the machine was
            never quiet for long enough, and the latency can't be trusted.
    """

    median_ms: float
    p95_ms: float
    rounds_ms: tuple[float, ...]
    disturbed: float = 0.0

    @property
    def scatter_ms(self) -> float:
        """The difference of the slowest round and the fastest one."""
        return max(self.rounds_ms) - min(self.rounds_ms)

    @property
    def is_disturbed(self) -> bool:
        """Whether it can't be trusted."""
        return self.disturbed > 0


@dataclass(frozen=True)
class _Round:
    """Milliseconds of the undisturbed runs; of all runs if there are fewer than five of them."""

    times_ms: np.ndarray
    was_preempted: bool

    @property
    def median_ms(self) -> float:
        return float(np.median(self.times_ms))


def measure_latency(sessions: Sequence[Served], *, clocks: Clocks | None = None) -> list[Latency]:
    """Measure the latency of each session at batch size 1, after a warm-up.

    The rounds of the sessions alternate, so that a slower phase of the machine affects all of them.
    They are repeated until each session has seven undisturbed rounds, within limits.
    """
    clocks = clocks or Clocks()
    noise = np.random.default_rng(0)
    images = [noise.standard_normal((1, *s.image_shape), np.float32) for s in sessions]
    for session, image in zip(sessions, images, strict=True):
        _timed_round(session, image, clocks, seconds=_WARM_UP_S)
    rounds: list[list[_Round]] = [[] for _ in sessions]
    start = clocks.wall()
    for done in range(_MOST_ROUNDS):
        is_late = done >= _ROUNDS and clocks.wall() - start > _MOST_S
        if is_late or all(sum(_undisturbed(found)) >= _ROUNDS for found in rounds):
            break
        for session, image, found in zip(sessions, images, rounds, strict=True):
            found.append(_timed_round(session, image, clocks, seconds=_ROUND_S))
    return [_summary(found) for found in rounds]


def scattered_share(rounds_ms: Sequence[float]) -> float:
    """Return the share of the rounds whose median is much higher than the lowest one."""
    if not rounds_ms:
        return 0.0
    most = min(rounds_ms) * (1 + _MOST_SCATTER)
    return sum(median > most for median in rounds_ms) / len(rounds_ms)


def _timed_round(session: Served, image: np.ndarray, clocks: Clocks, *, seconds: float) -> _Round:
    """Run the session for at least the given time and five times."""
    times_s: list[float] = []
    waited_s: list[float] = []
    end = clocks.wall() + seconds
    while len(times_s) < _RUNS_AT_LEAST or clocks.wall() < end:
        # The thread's clock is read outside of the timed span, since reading it is slow.
        thread_start, start = clocks.thread(), clocks.wall()
        session.predict(image)
        times_s.append(clocks.wall() - start)
        waited_s.append(times_s[-1] - (clocks.thread() - thread_start))
    times = np.array(times_s)
    if not session.computes_in_caller:
        return _Round(times * 1e3, was_preempted=False)
    ran = np.array(waited_s) <= _MOST_WAITED * times
    if ran.sum() < _RUNS_AT_LEAST:
        return _Round(times * 1e3, was_preempted=True)
    return _Round(times[ran] * 1e3, was_preempted=False)


def _undisturbed(rounds: Sequence[_Round]) -> list[bool]:
    """Return for each round whether it was undisturbed."""
    steady = [each.median_ms for each in rounds if not each.was_preempted]
    most = min(steady, default=0.0) * (1 + _MOST_SCATTER)
    return [not each.was_preempted and each.median_ms <= most for each in rounds]


def _summary(rounds: Sequence[_Round]) -> Latency:
    """Return the latency of the first seven undisturbed rounds.

    If there are fewer, the fastest of the disturbed rounds complete them: disturbances only ever
    slow a run down.
    """
    undisturbed = _undisturbed(rounds)
    order = sorted(
        range(len(rounds)),
        key=lambda place: (0, place) if undisturbed[place] else (1, rounds[place].median_ms),
    )
    chosen = sorted(order[:_ROUNDS])
    runs = np.concatenate([rounds[place].times_ms for place in chosen])
    return Latency(
        median_ms=float(np.median(runs)),
        p95_ms=float(np.percentile(runs, 95)),
        rounds_ms=tuple(rounds[place].median_ms for place in chosen),
        disturbed=sum(not undisturbed[place] for place in chosen) / len(chosen),
    )
