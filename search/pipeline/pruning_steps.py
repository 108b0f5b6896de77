"""Carries out a pruning and its training phases, and decides how long each phase trains."""

from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

from torch import nn

from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord
from spaces.axes.pruning import Cut, PruningSteps, TrainingPhase

# Trains the network of a phase. Arguments: the phase, its epochs, the number of earlier trainings.
TrainPhase: TypeAlias = Callable[[TrainingPhase, int, int], Iterator[EpochRecord]]

# Bump it when the trainings of a pruning change, or the losses that a pruning receives.
VERSION = 2


def carry_out(
    steps: PruningSteps, *, epochs: int, recorder: TrialRecorder, train: TrainPhase
) -> Generator[EpochRecord, None, tuple[nn.Module, list[Cut]]]:
    """Run the steps of a pruning, and train its network in each of its phases.

    Args:
        steps: the steps of a pruning.
        epochs: the epochs of the recipe's training; each phase asks for a share of them.
        recorder: records a stage for each cut and each phase.
        train: trains the network of a phase.

    Returns:
        A generator of the learning curve's points that returns the pruned network and its cuts.
    """
    share, trainings = 0.0, 0
    while True:
        try:
            phase = next(steps)
        except StopIteration as end:
            pruned, cuts = end.value
            return pruned, cuts
        if phase.has_cut:
            recorder.end_stage("prune", phase.network)
        # The running sum is rounded, not each phase, so that the phases add up to all epochs.
        before, share = round(epochs * share), share + phase.share
        length = round(epochs * share) - before
        if not length:
            continue
        score: float | None = None
        for point in train(phase, length, trainings):
            score = point.score
            yield point
        trainings += 1
        recorder.end_stage(phase.stage, phase.network, score=score)


def skipped_epochs(*, length: int, epochs: int) -> int:
    """Return the epochs by which a schedule is longer than a training after a change.

    After a cut, and under the rounding of a number format, the schedule of the learning rate begins
    half-way between a new one and the training's last epochs. A whole schedule, with its highest
    rate, destroys more than a few epochs restore; the rates of the last epochs are too low after a
    large change. benchmarks/recovery.py compares them.

    Args:
        length: the epochs of the training after the change.
        epochs: the epochs of the recipe's training.

    Source: after the learning-rate rewinding of Renda, Frankle and Carbin 2020, Comparing Rewinding
    and Fine-tuning in Neural Network Pruning, arXiv:2003.02389; Le and Hua 2021, Network Pruning
    That Matters: A Case Study on Retraining Variants, arXiv:2105.03193, on high rates.
    """
    return max(0, epochs - length) // 2
