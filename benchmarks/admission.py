"""How fast, and how rightly, recipes are judged before training.

    python benchmarks/admission.py spaces/presets/digits.yaml benchmarks/fashion_mnist.yaml

For each study file: milliseconds at the first sight of a student and afterwards over random
recipes, what share is rejected, the error of predicted bytes and latencies against measured ones,
and false verdicts: every recipe whose verdict was not measured is measured in the end.
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from search.config.loader import load_study
from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.cost_model.cost_table import CostTable
from search.cost_model.dry_run import dry_run
from search.cost_model.feasibility import Feasibility
from search.cost_model.verdict import Basis, CostVerdict
from search.objectives.budget import Budget
from search.records import Cost
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe

_TOLD = (Basis.BOUND, Basis.PREDICTED)


@dataclass(frozen=True)
class Judged:
    """A recipe, its verdict, its time, and whether its student had been seen before."""

    recipe: Recipe
    verdict: CostVerdict
    ms: float
    first_sight: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--recipes", type=int, default=300)
    parser.add_argument("--checked", type=int, default=80, help="told verdicts measured after all")
    parser.add_argument("--classes", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for file in options.files:
        study = load_study(file, [])
        judged = _judge(study, _requirements(study, options.classes), options.recipes)
        print(f"\n{file}: {study.budget}")
        _print_speed(judged)
        _print_truth(judged, _requirements(study, options.classes), options.checked)


def _requirements(study: Study, classes: int) -> StudentRequirements:
    budget = study.budget
    size = study.data.image_size
    return StudentRequirements(
        classes=classes, channels=1, image_size=size, budget=budget, target=budget.target
    )


def _judge(study: Study, requirements: StudentRequirements, count: int) -> list[Judged]:
    feasibility = Feasibility(requirements, CostTable())
    sampler = Sampler(study.search_space(), name="random", seed=study.seed)
    seen: set[object] = set()
    judged: list[Judged] = []
    while len(judged) < count and (recipe := sampler.ask()):
        start = time.perf_counter()
        verdict = feasibility.judge(recipe)
        ms = (time.perf_counter() - start) * 1e3
        judged.append(Judged(recipe, verdict, ms, recipe.student not in seen))
        seen.add(recipe.student)
    return judged


def _print_speed(judged: list[Judged]) -> None:
    admitted = [one for one in judged if one.verdict.admitted]
    print(f"  {len(judged)} recipes, {1 - len(admitted) / len(judged):.0%} rejected")
    print(f"  basis: {dict(Counter(str(one.verdict.basis) for one in judged))}")
    for verdict in ("rejected", "admitted"):
        own = [one for one in judged if one.verdict.admitted == (verdict == "admitted")]
        for sight, first in (("first sight of a student", True), ("afterwards", False)):
            ms = [one.ms for one in own if one.first_sight == first]
            if ms:
                tail = np.percentile(ms, 90)
                print(
                    f"  {verdict}, {sight}: median {median(ms):.2f} ms, 90% below {tail:.1f}, "
                    f"longest {max(ms):.0f} ({len(ms)} recipes)"
                )


def _print_truth(judged: list[Judged], requirements: StudentRequirements, most: int) -> None:
    told = [one for one in judged if one.verdict.basis in _TOLD]
    told = told[:: max(1, len(told) // most)]
    everything = replace(requirements, budget=Budget())
    pairs = [(one, dry_run(one.recipe, everything)) for one in told]
    for name in ("size_bytes", "parameters", "macs", "latency_ms"):
        errors = [
            abs(predicted / found[name] - 1)
            for one, found in pairs
            if one.verdict.basis is Basis.PREDICTED
            and (predicted := (one.verdict.cost or {}).get(name)) is not None
        ]
        if errors:
            print(
                f"  {name} predicted: median error {median(errors):.2%}, 95% below "
                f"{np.percentile(errors, 95):.2%} ({len(errors)} recipes)"
            )
    _print_false(pairs, requirements)


def _print_false(pairs: list[tuple[Judged, Cost]], requirements: StudentRequirements) -> None:
    for name, limit in requirements.budget.limits().items():
        rejected = [
            found
            for one, found in pairs
            if not one.verdict.admitted and name in _broken(one.verdict, requirements)
        ]
        admitted = [found for one, found in pairs if one.verdict.admitted]
        wrong = sum(found[name] <= limit for found in rejected)
        missed = sum(found[name] > limit for found in admitted)
        print(
            f"  {name}: {wrong} of {len(rejected)} told rejections false, "
            f"{missed} of {len(admitted)} told admissions false"
        )


def _broken(verdict: CostVerdict, requirements: StudentRequirements) -> set[str]:
    assert verdict.cost is not None
    violations = requirements.budget.violations(verdict.cost)
    return {name for name, excess in violations.items() if excess > 0}


if __name__ == "__main__":
    main()
