"""A pruning with the training that it asks for: its length, and when to stop it."""

from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

from torch import Tensor, nn

from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord
from search.training.validation import Validation
from spaces.axes.pruning import Cut, PruningSteps, TrainingPhase

# Trains the phase's network for that many epochs; the last number counts earlier trainings.
Teach: TypeAlias = Callable[[TrainingPhase, int, int], Iterator[EpochRecord]]

# Bump it when prunings are trained longer, shorter or otherwise, or are given other losses.
VERSION = 1

# A shorter training is not divided: short annealed legs gain less than one whole schedule.
_LEG_EPOCHS = 3
_LEGS_AT_MOST = 4


def carry_out(
    steps: PruningSteps,
    *,
    epochs: int,
    recorder: TrialRecorder,
    validation: Validation,
    teach: Teach,
) -> Generator[EpochRecord, None, tuple[nn.Module, list[Cut]]]:
    """Do the trainings that a pruning asks for; return what the pruning returns.

    Args:
        steps: the steps of a pruning.
        epochs: of the recipe's training; exercises are shares of it.
        recorder: gains a stage for each cut and each phase.
        validation: decides which of two networks is better.
        teach: trains the network.
    """
    asked, trainings = 0.0, 0
    while True:
        try:
            phase = next(steps)
        except StopIteration as end:
            pruned, cuts = end.value
            return pruned, cuts
        if phase.has_cut:
            recorder.end_stage("prune", phase.network)
        # Rounded over all exercises, so that their sum is the number of epochs allowed.
        before, asked = round(epochs * asked), asked + phase.share
        lengths = leg_lengths(round(epochs * asked) - before, is_last=phase.is_last)
        legs, score = yield from _legs(phase, lengths, teach, trainings, validation)
        trainings += legs
        if lengths:
            recorder.end_stage(phase.stage, phase.network, score=score)


def leg_lengths(epochs: int, *, is_last: bool) -> list[int]:
    """Return the epochs of each leg of a training; only the last training has several legs."""
    legs = max(1, min(_LEGS_AT_MOST, epochs // _LEG_EPOCHS)) if is_last else 1
    lengths = [epochs * (leg + 1) // legs - epochs * leg // legs for leg in range(legs)]
    return [length for length in lengths if length]


def _legs(
    phase: TrainingPhase, lengths: list[int], teach: Teach, trainings: int, validation: Validation
) -> Generator[EpochRecord, None, tuple[int, float | None]]:
    """Train one leg after another until one gains nothing; return how many, and the score.

    While the learning rate is high, the score does not show what was learned, so a curve can't be
    judged midway. Each leg therefore has a whole schedule, and the scores at their ends are
    compared. A leg that gained nothing is undone.
    """
    weights: dict[str, Tensor] = {}
    best: float | None = None
    for leg, length in enumerate(lengths):
        scores = []
        for point in teach(phase, length, trainings + leg):
            scores.append(point.score)
            yield point
        if best is not None and not validation.is_better(scores[-1], best):
            phase.network.load_state_dict(weights)
            return leg + 1, best
        best = scores[-1]
        weights = {name: value.clone() for name, value in phase.network.state_dict().items()}
    return len(lengths), best
