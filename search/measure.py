"""Measuring: what a student costs and how well it does, on the file that is served."""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch_pruning
from torch import nn

from search.config import Target
from search.data.dataset import Dataset, Part, normalize
from search.predictions import Predictions
from search.records import Cost, Quality
from search.runtime import Session

_WARM_UP_S = 0.05
_ROUNDS = 7
_ROUND_S = 0.03
_RUNS_AT_LEAST = 5
_BATCH = 256
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image: median and 95th percentile of all runs, and each round's median.

    The spread of the rounds tells how steady the machine was.
    """

    median_ms: float
    p95_ms: float
    rounds_ms: tuple[float, ...]


def measure_latency(sessions: Sequence[Session]) -> list[Latency]:
    """Latency at batch 1 of each session, after a warm-up.

    Rounds of the sessions take turns, so that a machine that slows down slows all of them.
    """
    noise = np.random.default_rng(0)
    images = [noise.standard_normal((1, *s.image_shape), np.float32) for s in sessions]
    for session, image in zip(sessions, images, strict=True):
        _timed_runs(session, image, seconds=_WARM_UP_S)
    rounds: list[list[np.ndarray]] = [[] for _ in sessions]
    for _ in range(_ROUNDS):
        for session, image, taken in zip(sessions, images, rounds, strict=True):
            taken.append(_timed_runs(session, image, seconds=_ROUND_S))
    return [_summary(taken) for taken in rounds]


def count_cost(network: nn.Module, path: Path, image_shape: tuple[int, int, int]) -> Cost:
    """The countable part of the cost of the student in the file `path`: nothing is timed.

    Args:
        network: its float form.
        path: the file that is served.
        image_shape: channels, height, width.
    """
    parameters, macs = count_operations(network, image_shape)
    return Cost(size_bytes=path.stat().st_size, parameters=parameters, macs=macs)


def grown(cost: Cost, more: int) -> Cost:
    """`cost` of a file that is so many bytes larger."""
    return replace(cost, size_bytes=cost.size_bytes + more)


def time_cost(cost: Cost, path: Path, target: Target) -> Cost:
    """`cost` with the latency of the file `path` on the target."""
    (latency,) = time_files([path], target)
    return replace(cost, latency_ms=latency.median_ms, latency_p95_ms=latency.p95_ms)


def time_files(paths: Sequence[Path], target: Target) -> list[Latency]:
    """Latency of each file on the target, measured in turns."""
    return measure_latency(
        [Session(path, threads=target.threads, device=target.device) for path in paths]
    )


def count_operations(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates for one image [channels, height, width]."""
    counted = copy.deepcopy(network).cpu().eval()
    macs, parameters = torch_pruning.utils.count_ops_and_params(
        counted, torch.zeros(1, *image_shape)
    )
    return int(parameters), int(macs)


def predictions(session: Session, part: Part, dataset: Dataset) -> Predictions:
    """What is predicted for the images of `part`."""
    batches = normalized_batches(part, dataset)
    logits = np.concatenate([session.predict(images) for images in batches])
    return Predictions.of_logits(logits, part.labels)


def normalized_batches(part: Part, dataset: Dataset) -> Iterator[np.ndarray]:
    """The unaugmented images as students take them, [batch, channels, size, size], float32."""
    for batch in part.batches(_BATCH):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def calibration_batches(dataset: Dataset, *, seed: int) -> Iterator[np.ndarray]:
    """Some normalised training images, drawn by seed, for calibrating ranges."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.training), generator=generator)[:_CALIBRATION_IMAGES]
    for batch in dataset.training.batches(_BATCH, order=order):
        yield normalize(batch.images, dataset.info.mean, dataset.info.std).numpy()


def quality(found: Predictions, *, teacher: np.ndarray) -> Quality:
    """Quality of predictions; `teacher` holds the teacher's classes, [images], int64."""
    return Quality(accuracy=found.accuracy, agreement=float((found.classes == teacher).mean()))


def _timed_runs(session: Session, image: np.ndarray, *, seconds: float) -> np.ndarray:
    """Milliseconds of each run, for as long as told and at least some runs."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < _RUNS_AT_LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        session.predict(image)
        taken.append((time.perf_counter() - start) * 1e3)
    return np.array(taken)


def _summary(rounds: Sequence[np.ndarray]) -> Latency:
    runs = np.concatenate(rounds)
    return Latency(
        median_ms=float(np.median(runs)),
        p95_ms=float(np.percentile(runs, 95)),
        rounds_ms=tuple(float(np.median(taken)) for taken in rounds),
    )
