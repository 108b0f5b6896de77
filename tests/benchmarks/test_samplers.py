"""Runs of samplers, their CSV and its table."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.recorded_problem import recorded_problem
from benchmarks.samplers.problems import PROBLEMS
from benchmarks.samplers.rows import append, left_of, read, table
from benchmarks.samplers.runs import Result, Setting, run

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
    assert left_of([SETTING, *others], read(file)) == others


def test_the_table_has_medians_and_the_regret_of_each_kind_of_run(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    for seed, accuracy in enumerate((0.8, 0.84)):
        append(file, replace(SETTING, seed=seed), replace(RESULT, accuracy=accuracy))
    append(file, replace(SETTING, sampler="gp", admission=False), replace(RESULT, oracle=None))
    assert [line.split(" | ") for line in table(read(file))[2:]] == [
        ["| random", "yes", "2", ".100 (.100–.100)", ".200 (.200–.200)", "–", "–",
         ".7000 (.7000–.7000)", ".8000 (.8000–.8000)", "–", "–", "3.00", "100%", "1", "2 |"],
        ["| gp, weight 0", "no", "1", ".100", ".200", "–", "–", ".7000", ".8000", "–", "–", "–",
         "100%", "1", "2 |"],
    ]  # fmt: skip


def test_the_problems_of_recorded_trainings_hold_what_fits(tmp_path: Path) -> None:
    assert PROBLEMS["recorded"](None).space.count() > 1000
    with pytest.raises(ValueError, match="--table"):
        PROBLEMS["nasbench201, 1080ti"](None)
