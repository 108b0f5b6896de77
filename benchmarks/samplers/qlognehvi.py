"""BoTorch's qLogNEHVI as a sampler of Optuna, for comparison: `pip install botorch`.

Each objective has a Gaussian process over the recipe's parameters, with names as one-hot codes. The
proposal is the best of random recipes within the budget, so it has admission, as a proposal from a
gradient on relaxed names has not.

Source: Ament et al. 2023, Unexpected Improvements to Expected Improvement, arXiv:2310.20708;
Daulton et al. 2021, arXiv:2105.08195.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from benchmarks.problem import Problem
from search.samplers.candidates import Draw
from search.surrogate.features import COUNTS, Features
from spaces.recipe import Recipe

# Random recipes at the start, as many as TPE has here.
_STARTUP = 8
# Recipes that are drawn until one is within the budget, at most.
_DRAWS_FOR_ONE = 100_000
_CANDIDATES = 512
_DRAWS = 64
# More than the names of any parameter; an absent one has no code.
_CODES = 40


class QLogNEHVI(RandomSampler):
    """The sampler for one problem.

    Args:
        problem: the problem, whose admission it has.
        seed: the seed.
    """

    def __init__(self, problem: Problem, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._problem = problem
        self._features = Features(problem.space.distributions())
        self._draw, self._seed = Draw(np.random.default_rng(seed)), seed
        self._chosen: dict[str, Any] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the recipe of the trial."""
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._chosen = self._admitted()
        if len(ended) < _STARTUP:
            return
        taken = {frozenset(one.params.items()) for one in ended}
        drawn = [self._admitted() for _ in range(_CANDIDATES)]
        new = [params for params in drawn if frozenset(params.items()) not in taken]
        if new:
            signs = [1 if way == StudyDirection.MAXIMIZE else -1 for way in study.directions]
            values = torch.tensor([one.values for one in ended], dtype=torch.float64)
            rows = self._rows([dict(one.params) for one in ended])
            best = self.best(rows, values * torch.tensor(signs), self._rows(new))
            self._chosen = new[best]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the chosen recipe's value."""
        return self._chosen[param_name]

    def _admitted(self) -> dict[str, Any]:
        """Return the parameters of a random recipe within the budget."""
        for _ in range(_DRAWS_FOR_ONE):
            params = self._problem.space.suggest(self._draw)
            if self._problem.refuse(Recipe.from_params(params)) is None:
                return dict(params)
        raise ValueError(
            f"a recipe must be within the budget, but none of {_DRAWS_FOR_ONE} drawn ones is"
        )

    def _rows(self, recipes: Sequence[dict[str, Any]]) -> Tensor:
        """Return the parameters of recipes as numbers from 0 to 1, names one-hot."""
        rows = np.array([self._features.row(one, None)[COUNTS:] for one in recipes])
        columns = [
            (column[:, None] == np.arange(_CODES)).astype(float) if is_code else column[:, None]
            for column, is_code in zip(rows.T, self._features.categorical[COUNTS:], strict=True)
        ]
        return torch.from_numpy(np.concatenate(columns, axis=1))

    def best(self, rows: Tensor, values: Tensor, candidates: Tensor) -> int:
        """Return the place of the candidate with the largest acquisition.

        Args:
            rows: the recipes that ended, [n, columns].
            values: their objectives, all maximised, [n, objectives].
            candidates: [m, columns].
        """
        from botorch.acquisition.multi_objective.logei import (
            qLogNoisyExpectedHypervolumeImprovement,
        )
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.sampling import SobolQMCNormalSampler
        from gpytorch.mlls import ExactMarginalLogLikelihood

        torch.manual_seed(self._seed)
        model = SingleTaskGP(rows, values, outcome_transform=Standardize(values.shape[1]))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=values.min(dim=0).values.tolist(),
            X_baseline=rows,
            sampler=SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=self._seed),
            prune_baseline=True,
        )
        with torch.no_grad():
            return int(acquisition(candidates[:, None, :]).argmax())
