from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.cost_model.dry_run import dry_run, least_cost
from search.objectives.budget import Budget
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import Outcome
from search.targets.onnx_export import export_onnx
from spaces.pruning.depth import Depth
from spaces.pruning.knapsack import Knapsack
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from tests.messages import naming

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]


def _trained(recipe: Recipe, context: StudyContext) -> Outcome:
    outcome = finish(run_trial(recipe, context, number=0, seed=3))
    assert outcome.failure is None, outcome.failure
    return outcome


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_byobnet", "test_vit"])
@pytest.mark.parametrize(
    "methods",
    [
        pytest.param({}, id="plain"),
        pytest.param({"pruning": Magnitude(ratio=0.5, recovery=0.0)}, id="pruned"),
        pytest.param({"quantization": Int8Static()}, id="int8"),
        pytest.param(
            {"pruning": Magnitude(ratio=0.3, recovery=0.0), "quantization": Int8Static()},
            id="pruned-int8",
        ),
    ],
)
def test_the_cost_predicted_is_that_of_the_trained_student(
    model: str, methods: dict[str, object], context: StudyContext, recipe: NewRecipe
) -> None:
    wanted = recipe(student=Timm(model=model), **methods)
    predicted = dry_run(wanted, context.requirements)
    found = _trained(wanted, context).cost
    assert found is not None
    assert (predicted["parameters"], predicted["macs"]) == (found["parameters"], found["macs"])
    assert predicted["size_bytes"] == pytest.approx(found["size_bytes"], rel=0.03)


def test_a_student_whose_blocks_start_at_zero_is_predicted_at_its_full_size(
    context: StudyContext, recipe: NewRecipe, tmp_path: Path
) -> None:
    student = Timm(model="resnet18")
    predicted = dry_run(recipe(student=student), context.requirements)
    assert predicted["size_bytes"] == pytest.approx(4 * predicted["parameters"], rel=0.03)
    # Untouched, the blocks' last convolutions are zeros, of which the exporter keeps one.
    path = tmp_path / "untrained.onnx"
    export_onnx(
        context.requirements.build(student), path, image_shape=context.requirements.image_shape
    )
    assert path.stat().st_size < 0.9 * predicted["size_bytes"]


def test_nothing_is_timed_where_counting_rules_the_recipe_out(
    context: StudyContext, recipe: NewRecipe
) -> None:
    tight = replace(context.requirements, budget=Budget(size=1000))
    assert "latency_ms" not in dry_run(recipe(), tight)


def test_latency_is_predicted_where_counting_does_not_rule_the_recipe_out(
    context: StudyContext, recipe: NewRecipe
) -> None:
    assert "latency_ms" in dry_run(recipe(), context.requirements)


def test_a_student_that_cannot_be_pruned_is_refused(
    context: StudyContext, recipe: NewRecipe
) -> None:
    wanted = recipe(student=Timm(model="test_efficientnet"), pruning=Depth())
    with pytest.raises(ValueError, match=naming("blocks")):
        dry_run(wanted, context.requirements)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ("parameters", {"size_bytes": 950, "parameters": 950, "macs": 500}),
        ("macs", {"size_bytes": 500, "parameters": 500, "macs": 950}),
    ],
)
def test_the_least_cost_is_near_in_what_a_knapsack_counts(
    counted: str, expected: dict[str, float], recipe: NewRecipe
) -> None:
    cost = dict.fromkeys(expected, 1000.0)
    assert least_cost(cost, recipe(pruning=Knapsack(cost=counted))) == pytest.approx(expected)
