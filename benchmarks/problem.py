"""A problem for samplers to be compared on: a space, a budget, known costs, and trainings."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.objectives.metrics import ACCURACY
from search.records import Cost, EpochRecord, Measurement, Outcome, TrialState
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace


@dataclass(frozen=True)
class Training:
    """The result of one training: the artifact's accuracy, and the network's after each epoch."""

    accuracy: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A search without waiting times.

    Attributes:
        space: the space of the recipes.
        budget: limits on the goal's costs.
        least_accuracy: together with the budget's limits, the worst corner of the hypervolume.
        predict: computes a recipe's exact cost.
        train: computes a recipe's training with a seed.
        told: the accuracy of one training with a seed, which a sampler is told; None: the one that
            `train` computes.
        goal: the goal of the search; its costs are the budget's.
        best_accuracy: the best accuracy of all recipes within the budget; None if it is unknown.
        best_volume: the hypervolume of all recipes within the budget; None if it is unknown.
        validation_images: the number on which a search measures accuracies; None: exact accuracies.
    """

    space: SearchSpace
    budget: Budget
    least_accuracy: float
    predict: Callable[[Recipe], Cost]
    train: Callable[[Recipe, int], Training]
    told: Callable[[Recipe, int], float] | None = None
    goal: Goal = DEFAULT_GOAL
    best_accuracy: float | None = None
    best_volume: float | None = None
    validation_images: int | None = None

    def run(self, recipe: Recipe, seed: int) -> Outcome:
        """Return the outcome of a trial that is trained to its end, whatever its cost."""
        training = self.train(recipe, seed)
        cost = self.predict(recipe)
        epochs = tuple(
            EpochRecord(stage="distil", epoch=i, loss=0.0, score=accuracy, learning_rate=0.0)
            for i, accuracy in enumerate(training.curve)
        )
        return Outcome(
            state=TrialState.COMPLETE,
            cost=cost,
            quality={ACCURACY.name: Measurement(training.accuracy, 0.0)},
            violations=self.budget.violations(cost),
            epochs=epochs,
        )

    def validated(self, outcome: Outcome, recipe: Recipe, seed: int) -> Outcome:
        """Return the outcome as a search sees it, with accuracy on validation images."""
        if self.told is not None:
            accuracy = self.told(recipe, seed)
            return replace(outcome, quality={ACCURACY.name: Measurement(accuracy, 0.0)})
        images = self.validation_images
        if images is None or not outcome.quality:
            return outcome
        draw = np.random.default_rng([seed, int(recipe.digest()[8:16], 16)])

        def seen(accuracy: float) -> float:
            return float(draw.binomial(images, accuracy)) / images

        accuracy = seen(outcome.quality[ACCURACY.name].value)
        error = math.sqrt(accuracy * (1 - accuracy) / images)
        return replace(
            outcome,
            quality={ACCURACY.name: Measurement(accuracy, error)},
            epochs=tuple(replace(one, score=seen(one.score)) for one in outcome.epochs),
        )

    def refuse(self, recipe: Recipe) -> Outcome | None:
        """Return the outcome of a recipe that is known to break the budget; None if it fits."""
        cost = self.predict(recipe)
        if self.budget.admits(cost):
            return None
        violations = self.budget.violations(cost)
        return Outcome(state=TrialState.INFEASIBLE, cost=cost, violations=violations)
