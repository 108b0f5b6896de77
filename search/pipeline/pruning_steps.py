"""Carries out a pruning and its training phases, and decides how long each phase trains."""

from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

from torch import Tensor, nn

from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord
from search.training.validation import Validation
from spaces.axes.pruning import Cut, PruningSteps, TrainingPhase

# Trains the network of a phase. Arguments: the phase, its epochs, the number of earlier trainings.
TrainPhase: TypeAlias = Callable[[TrainingPhase, int, int], Iterator[EpochRecord]]

# Bump it when the trainings of a pruning change, or the losses that a pruning receives.
VERSION = 1

# Shorter legs gain less than one whole schedule, so a leg has at least this many epochs.
_LEG_EPOCHS = 3
_LEGS_AT_MOST = 4


def carry_out(
    steps: PruningSteps,
    *,
    epochs: int,
    recorder: TrialRecorder,
    validation: Validation,
    train: TrainPhase,
) -> Generator[EpochRecord, None, tuple[nn.Module, list[Cut]]]:
    """Run the steps of a pruning, and train its network in each of its phases.

    Args:
        steps: the steps of a pruning.
        epochs: the epochs of the recipe's training; each phase asks for a share of them.
        recorder: records a stage for each cut and each phase.
        validation: compares the scores of two networks.
        train: trains the network of a phase.

    Returns:
        A generator of the learning curve's points that returns the pruned network and its cuts.
    """
    share, trainings_before = 0.0, 0
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
        lengths = leg_lengths(round(epochs * share) - before, is_last=phase.is_last)
        legs, score = yield from _train_legs(phase, lengths, train, trainings_before, validation)
        trainings_before += legs
        if lengths:
            recorder.end_stage(phase.stage, phase.network, score=score)


def leg_lengths(epochs: int, *, is_last: bool) -> list[int]:
    """Return the epochs of each leg of a phase; only the last phase has several legs."""
    legs = max(1, min(_LEGS_AT_MOST, epochs // _LEG_EPOCHS)) if is_last else 1
    lengths = [epochs * (leg + 1) // legs - epochs * leg // legs for leg in range(legs)]
    return [length for length in lengths if length]


def _train_legs(
    phase: TrainingPhase,
    lengths: list[int],
    train: TrainPhase,
    trainings_before: int,
    validation: Validation,
) -> Generator[EpochRecord, None, tuple[int, float | None]]:
    """Train one leg after another until a leg does not improve the score.

    While the learning rate is high, the score is too low to compare. Each leg therefore has a
    whole learning-rate schedule, and the scores at the ends of the legs are compared. The weights
    from before a leg without improvement are restored.

    Returns:
        A generator of the learning curve's points that returns the number of legs that ran, and
        the best score; None without any leg.
    """
    weights: dict[str, Tensor] = {}
    best: float | None = None
    for leg, length in enumerate(lengths):
        scores = []
        for point in train(phase, length, trainings_before + leg):
            scores.append(point.score)
            yield point
        if best is not None and not validation.is_better(scores[-1], best):
            phase.network.load_state_dict(weights)
            return leg + 1, best
        best = scores[-1]
        weights = {name: value.clone() for name, value in phase.network.state_dict().items()}
    return len(lengths), best
