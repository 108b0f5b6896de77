r"""Compares surrogates by how well they predict untried recipes.

    python -m benchmarks.surrogates [--nasbench201 cifar10.csv] [--counts 20 50 100 300 1000] \
        [--seeds 5] [--botorch]

Each surrogate learns from recipes drawn at random, and predicts 600 others. The problems are the
made-up one of benchmarks.samplers and, with `--nasbench201`, the cells of NAS-Bench-201. Of the
best 30% of the others, among which a search has to choose, the Markdown table shows the mean over
seeds:

    error: the root of the mean squared error of the expected accuracies, in logits;
    order: the rank correlation of expected and exact accuracies;
    inside: the share whose exact accuracy lies between the outermost of 16 equally likely
    accuracies; 94% if the surrogate is as certain as it may be;
    seconds: processor time for learning and predicting.

`--botorch` compares with BoTorch's Gaussian process over numbers and categories, which must be
installed (`pip install botorch`): on logits, and on the targets of the project's own surrogate.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from scipy.stats import norm, spearmanr

from benchmarks.nasbench201 import nasbench201_problem
from benchmarks.problem import Problem
from benchmarks.synthetic_problem import synthetic_problem
from search.objectives.metrics import ACCURACY
from search.samplers.candidates import Draw
from search.surrogate.features import Features
from search.surrogate.logit_scale import from_logits, to_logits
from search.surrogate.surrogate import Surrogate
from search.surrogate.utility_scale import UtilityScale
from spaces.recipe import Recipe

_OTHERS, _BEST_SHARE = 600, 0.3


@dataclass(frozen=True)
class Sample:
    """Random recipes: features, the accuracy of one training, and the exact accuracy."""

    rows: np.ndarray
    told: np.ndarray
    exact: np.ndarray
    categorical: np.ndarray


# Learns from the first argument, and returns equally likely accuracies for the rows, ascending.
Predictor = Callable[[Sample, np.ndarray], np.ndarray]


def sample_of(problem: Problem, count: int, seed: int) -> Sample:
    """Return distinct random recipes of the problem."""
    features, draw = Features(problem.space.distributions()), Draw(np.random.default_rng(seed))
    found: dict[Recipe, tuple[np.ndarray, float, float]] = {}
    while len(found) < count:
        params = problem.space.suggest(draw)
        recipe = Recipe.from_params(params)
        if recipe in found or recipe.conflict():
            continue
        outcome = problem.run(recipe, seed)
        seen = problem.validated(outcome, recipe, seed)
        told, exact = (one.quality[ACCURACY.name].value for one in (seen, outcome))
        found[recipe] = features.row(params, outcome.cost), told, exact
    rows, tolds, exacts = (np.array(values) for values in zip(*found.values(), strict=True))
    return Sample(rows, tolds, exacts, features.categorical)


def own(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """The project's surrogate."""
    zeros = np.zeros(len(sample.told))
    return Surrogate(sample.rows, sample.told, zeros, sample.categorical).quantiles(rows)


def botorch_on_logits(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """BoTorch's Gaussian process, with logits as targets."""
    logits = to_logits(sample.told)
    return from_logits(_botorch(sample, logits, rows))


def botorch_on_own_targets(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """BoTorch's Gaussian process, with the targets of the project's surrogate."""
    scale = UtilityScale(sample.told)
    return scale.utilities(_botorch(sample, scale.standard(sample.told), rows))


def _botorch(sample: Sample, targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return equally likely targets at the rows, [rows, 16]."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import MixedSingleTaskGP, SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    codes = np.flatnonzero(sample.categorical).tolist()
    numbers = np.flatnonzero(~sample.categorical).tolist()
    columns = len(sample.categorical)
    x, y = torch.from_numpy(sample.rows), torch.from_numpy(targets)[:, None]
    transforms = {
        "input_transform": Normalize(columns, indices=numbers),
        "outcome_transform": Standardize(1),
    }
    model = (
        MixedSingleTaskGP(x, y, cat_dims=codes, **transforms)
        if codes
        else SingleTaskGP(x, y, **transforms)
    )
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    with torch.no_grad():
        posterior = model.posterior(torch.from_numpy(rows))
        steps = torch.from_numpy(norm.ppf((np.arange(16) + 0.5) / 16))
        found: np.ndarray = (posterior.mean + posterior.variance.sqrt() * steps).numpy()
    return found


@dataclass(frozen=True)
class Score:
    """How well a surrogate predicted the best of the others."""

    error: float
    order: float
    inside: float
    seconds: float


def score(predictor: Predictor, sample: Sample, count: int) -> Score:
    """Score a surrogate that learned from the first `count` recipes of the sample."""
    known = Sample(
        sample.rows[:count], sample.told[:count], sample.exact[:count], sample.categorical
    )
    start = time.process_time()
    quantiles = predictor(known, sample.rows[count:])
    seconds = time.process_time() - start
    exact = sample.exact[count:]
    best = exact >= np.quantile(exact, 1 - _BEST_SHARE)
    exact, quantiles = exact[best], quantiles[best]
    expected = quantiles[:, 7:9].mean(axis=1)
    errors = to_logits(expected) - to_logits(exact)
    return Score(
        float(np.sqrt(np.mean(errors**2))),
        float(spearmanr(expected, exact).statistic),
        float(np.mean((quantiles[:, 0] <= exact) & (exact <= quantiles[:, -1]))),
        seconds,
    )


def _line(problem: str, count: int, name: str, scores: Sequence[Score]) -> str:
    cells = (
        f"{fmean(one.error for one in scores):.3f}",
        f"{fmean(one.order for one in scores):.2f}",
        f"{fmean(one.inside for one in scores):.0%}",
        f"{fmean(one.seconds for one in scores):.2f}",
    )
    return f"| {problem} | {count} | {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nasbench201", type=Path, help="the table of NAS-Bench-201, CSV")
    parser.add_argument("--counts", nargs="+", type=int, default=[20, 50, 100, 300, 1000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--botorch", action="store_true", help="compare with BoTorch's")
    options = parser.parse_args()
    problems = {}
    if options.nasbench201:
        table = options.nasbench201
        problems["NAS-Bench-201"] = nasbench201_problem(
            table, device="pi4", parameters=350_000, latency_ms=15.0
        )
    problems["made up"] = synthetic_problem()
    predictors: dict[str, Predictor] = {"retort": own}
    if options.botorch:
        predictors["BoTorch, logits"] = botorch_on_logits
        predictors["BoTorch, the targets of retort"] = botorch_on_own_targets
    print("| problem | trials | surrogate | error | order | inside | seconds |")
    print("|---|---|---|---|---|---|---|")
    for problem, made in problems.items():
        for count in options.counts:
            samples = [sample_of(made, count + _OTHERS, seed) for seed in range(options.seeds)]
            for name, predictor in predictors.items():
                scores = [score(predictor, sample, count) for sample in samples]
                print(_line(problem, count, name, scores), flush=True)


if __name__ == "__main__":
    main()
