"""Timing of one image at a time. Only NumPy is imported: the agent uses this file on boards."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_WARM_UP_S = 0.05
_ROUNDS = 7
_ROUND_S = 0.03
_RUNS_AT_LEAST = 5


class Served(Protocol):
    """A model that can be timed."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of its input."""

    def predict(self, images: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image: median and 95th percentile of all runs, and each round's median.

    The spread of the rounds' medians shows the noise of the machine.
    """

    median_ms: float
    p95_ms: float
    rounds_ms: tuple[float, ...]


def measure_latency(sessions: Sequence[Served]) -> list[Latency]:
    """Measure the latency of each session at batch size 1, after a warm-up.

    The rounds of the sessions alternate, so that a slower phase of the machine affects all of them.
    """
    noise = np.random.default_rng(0)
    images = [noise.standard_normal((1, *s.image_shape), np.float32) for s in sessions]
    for session, image in zip(sessions, images, strict=True):
        _timed_runs(session, image, seconds=_WARM_UP_S)
    rounds: list[list[np.ndarray]] = [[] for _ in sessions]
    for _ in range(_ROUNDS):
        for session, image, times_ms in zip(sessions, images, rounds, strict=True):
            times_ms.append(_timed_runs(session, image, seconds=_ROUND_S))
    return [_summary(times_ms) for times_ms in rounds]


def _timed_runs(session: Served, image: np.ndarray, *, seconds: float) -> np.ndarray:
    """Return the milliseconds of each run, [runs], for at least the given time and 5 runs."""
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while len(times_ms) < _RUNS_AT_LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        session.predict(image)
        times_ms.append((time.perf_counter() - start) * 1e3)
    return np.array(times_ms)


def _summary(rounds: Sequence[np.ndarray]) -> Latency:
    runs = np.concatenate(rounds)
    return Latency(
        median_ms=float(np.median(runs)),
        p95_ms=float(np.percentile(runs, 95)),
        rounds_ms=tuple(float(np.median(times_ms)) for times_ms in rounds),
    )
