"""The adapter of Optuna's samplers: it passes them recipes, outcomes and the budget."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState as OptunaState

from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.records import Outcome, TrialState
from search.samplers.candidates import CostSource
from search.samplers.gp_sampler import CostAwareSampler
from search.samplers.trial_attributes import trial_attributes
from spaces.distributions import Distribution, FloatRange, IntRange, OneOf
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

# The space counts as exhausted after this many consecutive proposals of known recipes. The sampler
# `gp` compares hundreds of recipes for each proposal.
_PATIENCE, _PATIENCE_WITH_GP = 200, 10
# No recipe of the space counts as fitting after this many consecutive refusals.
_MAX_REFUSALS = 1000

_POPULATION = 16
_GENERATION = "NSGAIISampler:generation"

# Returns the outcome of a recipe that must not be tried; None admits the recipe.
CostGate = Callable[[Recipe], Outcome | None]


class Sampler:
    """Sampler: it proposes each recipe at most once, and learns from outcomes.

    Callers identify a trial by its recipe. Optuna's trial objects are private to this class.

    The sampler maximises the goal's metric and minimises its costs. The budget's limits and floors
    are Optuna's constraints.

    Args:
        space: the search space.
        name: `gp`, `tpe`, `nsga2`, `optuna-gp` or `random`; or a sampler of Optuna's kind, which
            has a seed of its own.
        seed: the seed; equal seeds and equal outcomes in the same order give equal proposals.
        goal: the study's goal.
        earlier: the number of trials of earlier runs; it changes the seed of Optuna's own samplers,
            so that they do not repeat their random numbers.
        costs: the source of recipes' costs; `gp` needs it, the others ignore it.
        budget: the limits of the costs, and the floors; only `gp` uses it. The others learn
            violations from the outcomes.
        gate: refuses recipes; the sampler learns from a refused recipe, and does not propose it.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        name: str | BaseSampler,
        seed: int,
        goal: Goal = DEFAULT_GOAL,
        earlier: int = 0,
        costs: CostSource | None = None,
        budget: Budget | None = None,
        gate: CostGate = lambda recipe: None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self._goal = goal
        self._floors = () if budget is None else budget.floors()
        self._gate = gate
        self._tried: set[str] = set()
        self._proposed: dict[str, optuna.Trial] = {}
        self._under_way: dict[str, Recipe] = {}
        self._refusals = 0
        self._study = optuna.create_study(
            directions=_directions(goal),
            sampler=self._cost_aware(seed, costs, budget)
            if name == "gp"
            else _sampler(name, seed + earlier),
        )
        self._patience = _PATIENCE_WITH_GP if name == "gp" else _PATIENCE
        self._generation_size = _POPULATION if name == "nsga2" else None

    def ask(self) -> Recipe | None:
        """Propose a new recipe that the gate admits; None if none can be found."""
        while isinstance(found := self.ask_once(), Outcome):
            pass
        return found

    def ask_once(self) -> Recipe | Outcome | None:
        """Propose a new recipe; if the gate refuses it, return the gate's outcome instead.

        Returns:
            A recipe or an outcome; None if no new recipe can be found.
        """
        exhausted = self._refusals == _MAX_REFUSALS
        recipe = None if exhausted else self._new_recipe()
        refusal = self._gate(recipe) if recipe else None
        if recipe is None or refusal is None:
            self._refusals = 0
            return recipe
        self._refusals += 1
        self.tell(recipe, refusal)
        return refusal

    def promising(
        self, own: Recipe, groups: Sequence[tuple[Recipe, ...]], count: int
    ) -> list[Recipe] | None:
        """Return the best branches of `own`, from at most `count` groups; only `gp` ranks branches.

        Returns:
            The branches, the best first; None for other samplers than `gp`.
        """
        sampler = self._study.sampler
        if not isinstance(sampler, CostAwareSampler):
            return None
        return sampler.promising(self._study, own, groups, count)

    def tell(
        self, recipe: Recipe, outcome: Outcome, *, branch: bool = False, elsewhere: bool = False
    ) -> None:
        """Learn from the outcome of a recipe; ignore a recipe outside of the space.

        Only complete trials have values for the objectives; all trials have constraints.

        Args:
            recipe: the recipe that was tried. It was proposed or expected, or tried elsewhere.
            outcome: its outcome.
            branch: whether the student is a branch; its learning curve is then that of the trial.
            elsewhere: whether another study made the student; this study may try the recipe too.
        """
        trial = None if elsewhere else self._proposed.pop(recipe.digest(), None)
        if trial:
            self._finish_proposed(trial, recipe, outcome)
            return
        if not elsewhere:
            self._under_way.pop(recipe.digest(), None)
        if self.space.contains(recipe.to_params()):
            self._add_other(recipe, outcome, branch=branch, elsewhere=elsewhere)

    def expect(self, recipe: Recipe) -> bool:
        """Mark a recipe that will be tried but was not proposed, such as a branch.

        Returns:
            Whether the recipe is new; False if it was already proposed or expected.
        """
        new = self._take(recipe)
        if new:
            self._under_way[recipe.digest()] = recipe
        return new

    def release(self, recipe: Recipe) -> None:
        """Unmark an expected recipe that will not be tried, so that it can be proposed."""
        if self._under_way.pop(recipe.digest(), None):
            self._tried.remove(recipe.digest())

    def _finish_proposed(self, trial: optuna.Trial, recipe: Recipe, outcome: Outcome) -> None:
        """Finish the Optuna trial of a proposed recipe."""
        for limit, excess in _constraints(outcome).items():
            trial.set_constraint(limit, excess)
        for name, value in self._attributes(recipe, outcome).items():
            trial.set_user_attr(name, value)
        state, values = self._verdict(outcome)
        self._study.tell(trial, values=values, state=state)

    def _add_other(
        self, recipe: Recipe, outcome: Outcome, *, branch: bool, elsewhere: bool
    ) -> None:
        """Add an Optuna trial for a recipe that Optuna did not propose."""
        params = recipe.to_params()
        state, values = self._verdict(outcome)
        distributions = {
            key: distribution
            for key, distribution in self.space.distributions().items()
            if key in params
        }
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state,
                values=values,
                params={key: params[key] for key in distributions},
                distributions={
                    key: _distribution(distribution) for key, distribution in distributions.items()
                },
                constraints=dict(_constraints(outcome)),
                user_attrs=self._attributes(recipe, outcome, branch=branch, elsewhere=elsewhere),
                system_attrs=self._generation(state),
            )
        )

    def _generation(self, state: OptunaState) -> dict[str, int]:
        """Return a trial's generation; NSGA-II selects parents only among trials that have one."""
        if self._generation_size is None or state is not OptunaState.COMPLETE:
            return {}
        complete = len(self._study.get_trials(deepcopy=False, states=(OptunaState.COMPLETE,)))
        return {_GENERATION: complete // self._generation_size}

    def _take(self, recipe: Recipe) -> bool:
        """Mark a recipe as tried; return False if it was marked before."""
        digest = recipe.digest()
        new = digest not in self._tried
        self._tried.add(digest)
        return new

    def _new_recipe(self) -> Recipe | None:
        for _ in range(self._patience):
            trial = self._study.ask()
            recipe = Recipe.from_params(self.space.suggest(trial))
            if self._take(recipe):
                self._proposed[recipe.digest()] = trial
                return recipe
            self._study.tell(trial, state=OptunaState.FAIL)
        return None

    def _verdict(self, outcome: Outcome) -> tuple[OptunaState, list[float] | None]:
        utility = self._goal.utility(outcome)
        if outcome.state is TrialState.COMPLETE and utility is not None and outcome.cost:
            return OptunaState.COMPLETE, [utility, *self._goal.costs_of(outcome.cost)]
        # A partial or unknown utility must not count as a final one.
        early = outcome.state in (TrialState.INFEASIBLE, TrialState.STOPPED)
        return OptunaState.PRUNED if early else OptunaState.FAIL, None

    def _attributes(
        self, recipe: Recipe, outcome: Outcome, *, branch: bool = False, elsewhere: bool = False
    ) -> dict[str, object]:
        return trial_attributes(
            recipe, outcome, self._goal.metric, self._floors, branch=branch, elsewhere=elsewhere
        )

    def _cost_aware(
        self, seed: int, costs: CostSource | None, budget: Budget | None
    ) -> BaseSampler:
        if costs is None:
            raise ValueError("the sampler gp must have a source of costs, but costs is None")
        return CostAwareSampler(
            self.space,
            costs=costs,
            budget=budget or Budget(),
            seed=seed,
            goal=self._goal,
            under_way=lambda: self._under_way.values(),
        )


def _constraints(outcome: Outcome) -> Mapping[str, float]:
    if outcome.state is TrialState.INFEASIBLE and not outcome.violations:
        return {"sound": 1.0}
    return outcome.violations


def _distribution(distribution: Distribution) -> BaseDistribution:
    match distribution:
        case FloatRange(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntRange(low, high, log):
            return IntDistribution(low, high, log=log)
        case OneOf(options):
            return CategoricalDistribution(options)
        case _:
            raise ValueError(
                f"a searched parameter must have a range or options, not {distribution}"
            )


def _directions(goal: Goal) -> list[optuna.study.StudyDirection]:
    costs = [optuna.study.StudyDirection.MINIMIZE] * len(goal.costs)
    return [optuna.study.StudyDirection.MAXIMIZE, *costs]


def _sampler(name: str | BaseSampler, seed: int) -> BaseSampler:
    if isinstance(name, BaseSampler):
        return name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "optuna-gp":
            return GPSampler(seed=seed, warn_independent_sampling=False)
        if name == "tpe":
            return TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=8)
        if name == "nsga2":
            return NSGAIISampler(seed=seed, population_size=_POPULATION)
        return RandomSampler(seed=seed)
