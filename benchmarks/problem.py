"""What samplers are compared on: a space, a budget, costs known in advance, and trainings."""

from collections.abc import Callable
from dataclasses import dataclass

from search.budget import Budget
from search.records import Cost, EpochRecord, Outcome, Quality, TrialState
from spaces.recipe import Recipe
from spaces.space import SearchSpace


@dataclass(frozen=True)
class Training:
    """What one training came to: the artifact's accuracy, and the network's after each epoch."""

    accuracy: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A search without its waiting.

    Attributes:
        space: where recipes come from.
        budget: limits both size and latency.
        least_accuracy: with the budget's limits, the hypervolume's worst corner.
        predict: what a recipe costs, exactly.
        train: what a recipe comes to with a seed.
    """

    space: SearchSpace
    budget: Budget
    least_accuracy: float
    predict: Callable[[Recipe], Cost]
    train: Callable[[Recipe, int], Training]

    def run(self, recipe: Recipe, seed: int) -> Outcome:
        """The outcome of a trial that is trained to its end, whatever it costs."""
        training = self.train(recipe, seed)
        cost = self.predict(recipe)
        epochs = tuple(
            EpochRecord(stage="distil", epoch=i, loss=0.0, accuracy=accuracy, learning_rate=0.0)
            for i, accuracy in enumerate(training.curve)
        )
        return Outcome(
            state=TrialState.COMPLETE,
            cost=cost,
            quality=Quality(accuracy=training.accuracy, agreement=training.accuracy),
            violations=self.budget.violations(cost),
            epochs=epochs,
        )

    def refuse(self, recipe: Recipe) -> Outcome | None:
        """The outcome of a recipe that is known to break the budget; None where it holds."""
        cost = self.predict(recipe)
        if self.budget.admits(cost):
            return None
        violations = self.budget.violations(cost)
        return Outcome(state=TrialState.INFEASIBLE, cost=cost, violations=violations)
