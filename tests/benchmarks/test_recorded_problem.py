"""A table of trainings, read and searched."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.problem import Problem
from benchmarks.recorded_problem import read_lines, recorded_problem
from search.samplers.candidates import Draw
from spaces.recipe import Recipe

HEADER = (
    "student,student.timm.model,training,training.standard.learning_rate,distillation,pruning,"
    "pruning.magnitude.ratio,quantization,size_bytes,latency_ms,parameters,macs,accuracy,"
    "accuracy_1,accuracy_2,remark"
)
LINES = (
    "timm,test_resnet,standard,0.01,labels,none,,float32,9000,0.4,900,4e4,0.81,0.5,0.8,a",
    "timm,test_resnet,standard,0.01,labels,none,,float32,9000,0.4,900,4e4,0.83,0.6,0.85,",
    "timm,test_resnet,standard,0.02,labels,magnitude,0.5,float32,3000,0.2,300,1e4,0.7,0.4,0.72,",
    "timm,test_vit,standard,0.001,labels,none,,int8_static,2500,0.9,800,3e4,0.6,0.5,,",
)


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "trainings.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def _problem(folder: Path, *, size_bytes: float = 8000) -> Problem:
    path = _file(folder, *LINES)
    return recorded_problem(path, size_bytes=size_bytes, latency_ms=1.0, least_accuracy=0.5)


def test_a_line_is_a_recipe_with_its_cost_and_its_curve(tmp_path: Path) -> None:
    line = read_lines(_file(tmp_path, LINES[2]))[0]
    assert line.recipe.to_params()["pruning.magnitude.ratio"] == 0.5
    assert [line.cost[name] for name in ("size_bytes", "latency_ms", "macs")] == [3000, 0.2, 10_000]
    assert (line.training.accuracy, line.training.curve) == (0.7, (0.4, 0.72))


def test_a_curve_ends_at_its_first_empty_epoch(tmp_path: Path) -> None:
    assert read_lines(_file(tmp_path, LINES[3]))[0].training.curve == (0.5,)


def test_a_line_that_is_no_recipe_is_refused_by_its_number(tmp_path: Path) -> None:
    broken = LINES[1].replace("magnitude", "thinning").replace("none", "thinning")
    with pytest.raises(ValueError, match=r"trainings\.csv, line 3: .*thinning"):
        read_lines(_file(tmp_path, LINES[0], broken))


def test_the_space_gives_every_recorded_recipe_and_no_other(tmp_path: Path) -> None:
    problem = _problem(tmp_path)
    rng = np.random.default_rng(0)
    drawn = {Recipe.from_params(problem.space.suggest(Draw(rng))) for _ in range(60)}
    recorded = {line.recipe for line in read_lines(tmp_path / "trainings.csv")}
    assert drawn == recorded
    assert problem.space.count() == 3


def test_seeds_of_a_recipe_see_its_trainings_in_turn(tmp_path: Path) -> None:
    problem = _problem(tmp_path)
    recipe = read_lines(tmp_path / "trainings.csv")[0].recipe
    assert [problem.train(recipe, seed).accuracy for seed in range(3)] == [0.81, 0.83, 0.81]


def test_a_search_sees_accuracies_on_so_many_images_and_the_same_each_time(tmp_path: Path) -> None:
    exact = _problem(tmp_path)
    recipe = read_lines(tmp_path / "trainings.csv")[0].recipe
    outcome = exact.run(recipe, seed=0)
    assert exact.validated(outcome, recipe, seed=0) == outcome
    few = replace(exact, validation_images=7)
    seen = few.validated(outcome, recipe, seed=0)
    assert few.validated(outcome, recipe, seed=0) == seen
    assert seen.quality
    accuracies = [seen.quality["accuracy"].value, *(epoch.score for epoch in seen.epochs)]
    assert [7 * accuracy for accuracy in accuracies] == pytest.approx(
        [round(7 * accuracy) for accuracy in accuracies]
    )
    assert seen.cost == outcome.cost
