"""Students are measured until the costs of a space's are told."""

from dataclasses import replace

import numpy as np
import pytest

from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.survey import Survey
from search.objectives.budget import Budget
from search.pipeline.study_context import StudyContext
from search.records import Shape
from search.samplers.candidates import Draw
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

SPACE = SearchSpace.from_config(
    {
        "student": {"timm": {"model": ["test_resnet", "test_byobnet"]}},
        "pruning": {"none": None, "magnitude": {"ratio": {"low": 0.2, "high": 0.6}}},
        "quantization": ["float32", "int8_static"],
    }
)


def _costs_told(survey: Survey, feasibility: Feasibility, *, measured: list[Shape]) -> int:
    """Lets the survey go on until it measures nothing any more; how many it measured."""
    while survey.measure_next():
        pass
    draw = Draw(np.random.default_rng(1))
    assert all(feasibility.predict(Recipe.from_params(SPACE.suggest(draw))) for _ in range(100))
    return len(measured)


@pytest.mark.parametrize("size", ["10MB", "1MB"])
def test_students_are_measured_one_a_step_until_all_costs_are_told(
    context: StudyContext, size: str
) -> None:
    measured: list[Shape] = []
    table = CostTable(on_add=lambda shape, cost: measured.append(shape))
    requirements = replace(context.requirements, budget=Budget(size=size))
    feasibility = Feasibility(requirements, table, timed=False)
    survey = Survey(SPACE, feasibility, seed=0)
    assert survey.measure_next()
    assert len(measured) <= 1
    # Two of each student in each format tell of the rest; what is too large is not measured.
    assert 4 <= _costs_told(survey, feasibility, measured=measured) <= 12


def test_of_eight_whose_costs_are_not_told_the_most_cut_is_measured(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []
    feasibility = Feasibility(context.requirements, CostTable(), timed=False)
    monkeypatch.setattr(feasibility, "measure", asked.append)
    assert Survey(SPACE, feasibility, seed=0).measure_next()
    draw = Draw(np.random.default_rng(0))
    drawn = [Recipe.from_params(SPACE.suggest(draw)) for _ in range(8)]
    assert asked == [max(drawn, key=lambda one: one.pruning.nominal_ratio or 0.0)]


def test_students_that_cannot_be_cut_do_not_keep_it_going(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    feasibility = Feasibility(context.requirements, CostTable(), timed=False)
    monkeypatch.setattr(feasibility, "measure", lambda recipe: None)
    survey = Survey(SPACE, feasibility, seed=0)
    # Of two students by two methods of pruning each is asked for once.
    assert [survey.measure_next() for _ in range(6)] == [True] * 4 + [False] * 2
