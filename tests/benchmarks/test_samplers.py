"""Runs of samplers, their CSV and its table."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.recorded_problem import recorded_problem
from benchmarks.samplers.__main__ import settings_of
from benchmarks.samplers.problems import PROBLEMS
from benchmarks.samplers.qlognehvi import QLogNEHVI
from benchmarks.samplers.rows import append, missing, read, table
from benchmarks.samplers.runs import Result, Setting, run
from search.samplers.optuna_adapter import Sampler

HEADER = (
    "student,student.timm.model,training,training.standard.learning_rate,distillation,pruning,"
    "pruning.magnitude.ratio,quantization,size_bytes,latency_ms,parameters,macs,accuracy"
)
LINES = (
    "timm,test_resnet,standard,0.01,labels,none,,float32,9000,0.4,900,4e4,0.81",
    "timm,test_resnet,standard,0.02,labels,magnitude,0.5,float32,3000,0.2,300,1e4,0.7",
    "timm,test_vit,standard,0.001,labels,none,,int8_static,2500,0.9,800,3e4,0.6",
)
SETTING = Setting(problem="recorded", sampler="random", trials=9)
RESULT = Result(
    volumes=(0.1, 0.2),
    accuracies=(0.7, 0.8),
    accuracy=0.8,
    feasible_share=1.0,
    first_feasible=1,
    proposal_ms=2.0,
    oracle=0.85,
)


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "gp"])
def test_a_search_with_admission_trains_what_fits_alone_and_then_ends(
    sampler: str, tmp_path: Path
) -> None:
    path = tmp_path / "trainings.csv"
    path.write_text("\n".join((HEADER, *LINES)) + "\n")
    problem = recorded_problem(path, size_bytes=8000, latency_ms=1.0, least_accuracy=0.5)
    result = run(problem, replace(SETTING, sampler=sampler))
    assert (result.feasible_share, result.accuracy) == (1.0, 0.7)


def test_a_run_that_the_csv_holds_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    append(file, SETTING, RESULT)
    others = [replace(SETTING, seed=1), replace(SETTING, images=200), replace(SETTING, weight=0.5)]
    assert missing([SETTING, *others], read(file)) == others


def test_the_table_has_medians_and_the_regret_of_each_kind_of_run(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    for seed, accuracy in enumerate((0.8, 0.84)):
        append(file, replace(SETTING, seed=seed), replace(RESULT, accuracy=accuracy))
    append(file, replace(SETTING, sampler="gp", admission=False), replace(RESULT, oracle=None))
    assert [line.split(" | ") for line in table(read(file))[2:]] == [
        ["| random, to 9 trials", "yes", "2", ".100 (.100–.100)", ".200 (.200–.200)", "–", "–",
         ".7000 (.7000–.7000)", ".8000 (.8000–.8000)", "–", "–", "3.00", "100%", "1", "2 |"],
        ["| gp, weight 0, to 9 trials", "no", "1", ".100", ".200", "–", "–", ".7000", ".8000", "–",
         "–", "–", "100%", "1", "2 |"],
    ]  # fmt: skip


def test_runs_of_other_settings_have_a_line_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    others = [{"images": 200}, {"parallel": 4}, {"trials": 100}]
    for changes in ({}, *others):
        append(file, replace(SETTING, **changes), RESULT)  # type: ignore[arg-type]
    assert [line.split(" | ")[0] for line in table(read(file))[2:]] == [
        "| random, to 9 trials",
        "| random, 200 images, to 9 trials",
        "| random, 4 at a time, to 9 trials",
        "| random",
    ]


def test_a_problem_of_a_table_needs_it() -> None:
    with pytest.raises(ValueError, match="--table"):
        PROBLEMS["nasbench201, 1080ti"](None)


def test_settings_are_those_of_one_seed_before_the_next() -> None:
    options = argparse.Namespace(
        problems=["rec"], samplers=["gp", "botorch"], weights=[0.0, 0.5], admission=[False, True],
        seeds=2, trials=9, parallel=1, images=None,
    )  # fmt: skip
    found = [*settings_of(options)]
    assert [one.seed for one in found] == [0] * 5 + [1] * 5
    assert {one.problem for one in found} == {"recorded"}
    # BoTorch's sampler always has admission, and no weight.
    assert [(one.weight, one.admission) for one in found if one.sampler == "botorch"] == [
        (0.0, True)
    ] * 2


class _Cheapest(QLogNEHVI):
    """Takes the candidate whose first number is the smallest, without BoTorch."""

    def best(self, rows: Tensor, values: Tensor, candidates: Tensor) -> int:
        assert len(rows) == len(values)
        assert rows.shape[1] == candidates.shape[1]
        return int(candidates[:, 0].argmin())


def test_the_foreign_sampler_proposes_new_recipes_within_the_budget() -> None:
    problem = PROBLEMS["recorded"](None)
    sampler = Sampler(problem.space, name=_Cheapest(problem, seed=0), seed=0)
    proposed = []
    for _ in range(12):
        recipe = sampler.ask()
        assert recipe is not None
        assert problem.refuse(recipe) is None
        sampler.tell(recipe, problem.run(recipe, 0))
        proposed.append(recipe)
    assert len(set(proposed)) == 12


def test_botorch_chooses_a_candidate() -> None:
    pytest.importorskip("botorch")
    draw = torch.Generator().manual_seed(0)
    rows, candidates = (torch.rand(count, 3, generator=draw).double() for count in (12, 5))
    values = torch.stack([rows.sum(dim=1), -rows[:, 0]], dim=1)
    sampler = QLogNEHVI(PROBLEMS["recorded"](None), seed=0)
    assert 0 <= sampler.best(rows, values, candidates) < 5
