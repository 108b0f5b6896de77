"""Every number format, from a recipe to a shipped student."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from torch import nn

from search.cost_model.cost_table import CostTable
from search.cost_model.dry_run import dry_run
from search.cost_model.feasibility import Feasibility
from search.evaluation.artifact import check_whole, load_network
from search.evaluation.measure import predictions
from search.objectives.budget import Budget
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import Outcome, TrialState
from search.targets.onnx_runtime import SERVED, Session
from search.tuner.branching import branches_of
from spaces import registry
from spaces.axes.quantization import Quantization
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.int8_mixed import Int8Mixed
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.ternary import Ternary
from spaces.quantization.weight_compression.packed import unpacked
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from spaces.shrinks import SIZE_ONLY
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.messages import naming

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]

FORMATS = [name for name in registry.methods("quantization") if name != "float32"]
FAMILIES = [
    "test_resnet",
    pytest.param("test_efficientnet", marks=pytest.mark.slow),
    pytest.param("test_vit", marks=pytest.mark.slow),
]


def _method(name: str) -> Quantization:
    method = registry.method("quantization", name)()
    assert isinstance(method, Quantization)
    return method


def _run(recipe: Recipe, context: StudyContext) -> Outcome:
    outcome = finish(run_trial(recipe, context, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    return outcome


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", FORMATS)
def test_a_student_is_shipped_smaller_in_a_file_that_predicts_as_measured(
    name: str, family: str, context: StudyContext, recipe: NewRecipe
) -> None:
    wanted = recipe(student=Timm(model=family), quantization=_method(name))
    outcome = _run(wanted, context)
    stages = {stage.name: stage for stage in outcome.stages}
    assert outcome.cost
    assert outcome.quality
    assert outcome.artifact
    assert outcome.cost["size_bytes"] < 0.6 * stages["distil"].cost["size_bytes"]
    assert "no smaller" not in str(outcome.no_op)
    folder = context.artifacts.folder / outcome.artifact.path
    check_whole(folder)
    load_network(folder)
    found = predictions(
        Session(folder / SERVED, threads=1), context.dataset.validation, context.dataset
    )
    assert found.right.mean() == outcome.quality["accuracy"].value
    # What admission foresees is what comes; which layers stay floats is not known before.
    predicted = dry_run(wanted, context.requirements)["size_bytes"]
    tolerance = 0.2 if name == "int8_mixed" else 0.03
    assert predicted == pytest.approx(outcome.cost["size_bytes"], rel=tolerance)


def test_a_mixed_student_is_refused_only_where_its_layers_cannot_matter(
    context: StudyContext, recipe: NewRecipe
) -> None:
    wanted = recipe(quantization=Int8Mixed(float_layers=2))
    untrained = dry_run(wanted, context.requirements)["size_bytes"]
    # Without layers in floats it would take a bit less, and without any weights next to nothing.
    for share, admitted in [(0.95, True), (0.5, False)]:
        budget = Budget(size=round(share * untrained))
        feasibility = Feasibility(
            replace(context.requirements, budget=budget), CostTable(), timed=False
        )
        assert [feasibility.judge(wanted).admitted for _ in range(2)] == [admitted, admitted]


def test_a_format_may_have_a_training_of_its_own(context: StudyContext, recipe: NewRecipe) -> None:
    wanted = recipe(
        training=Standard(epochs=4, batch_size=16, warmup_epochs=0),
        pruning=Magnitude(ratio=0.3, recovery=0.25),
        quantization=Int8Qat(tuning=0.5),
    )
    outcome = _run(wanted, context)
    names = [stage.name for stage in outcome.stages]
    assert names == ["admit", "distil", "prune", "recover", "tune", "quantize", "measure"]
    curve = [(point.stage, point.epoch) for point in outcome.epochs if point.stage == "tune"]
    assert curve == [("tune", 0), ("tune", 1)]
    tuned = outcome.stages[4]
    assert tuned.score == outcome.epochs[-1].score


def test_a_format_with_a_training_is_taken_over_like_any_stage(
    context: StudyContext, recipe: NewRecipe
) -> None:
    cached = replace(
        context, stages=StageCache(context.artifacts.folder / "stages", limit_bytes=10**9)
    )
    wanted = recipe(quantization=Ternary(tuning=1.0))
    once, again = (_run(wanted, cached) for _ in range(2))
    assert [stage.reused for stage in again.stages if stage.name == "tune"] == [True]
    assert once.quality == again.quality
    assert once.epochs == again.epochs


def test_training_under_the_rounding_makes_up_for_it(
    context: StudyContext, recipe: NewRecipe
) -> None:
    training = Standard(epochs=3, batch_size=16, warmup_epochs=0)
    accuracies = []
    for tuning in (0.0, 1.0):
        outcome = _run(recipe(training=training, quantization=Ternary(tuning=tuning)), context)
        assert outcome.quality
        accuracies.append(outcome.quality["accuracy"].value)
    assert accuracies[1] > accuracies[0]


def test_a_format_with_a_training_is_no_branch(recipe: NewRecipe) -> None:
    space = SearchSpace.from_config(
        {
            "student": {"timm": {"model": "test_resnet"}},
            "pruning": ["none", "magnitude"],
            "quantization": ["float32", "int8_qat", "int4_weights", "ternary"],
        }
    )
    for own in (recipe(), recipe(quantization=Int8Qat())):
        found = {branch.quantization.name for branch in branches_of(own, space, prunings=2)}
        assert found == {"float32", "int4_weights"}


class Holed(NoPruning):
    """Sets the smaller three quarters of the weights of each layer to zero."""

    leaves_zeros = True
    shrinks = SIZE_ONLY

    def prune_in_steps(self, model, example, *, losses):
        pruned, cuts = yield from super().prune_in_steps(model, example, losses=losses)
        for layer in pruned.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                weight = layer.weight.data
                weight[weight.abs() < weight.abs().quantile(0.75)] = 0
        return pruned, cuts


@pytest.mark.parametrize("name", ["float32", "float16_weights", "float16", "int8_static"])
def test_zeros_that_pruning_left_take_next_to_no_room(
    name: str, context: StudyContext, recipe: NewRecipe
) -> None:
    whole, holed = (
        _run(recipe(pruning=pruning, quantization=_method(name)), context)
        for pruning in (NoPruning(), Holed())
    )
    assert whole.cost
    assert holed.cost
    assert holed.cost["size_bytes"] < 0.6 * whole.cost["size_bytes"]


@pytest.mark.parametrize("name", ["int8_qat", "int4_weights", "ternary", "binary", "kmeans"])
def test_a_format_that_would_lose_the_zeros_contradicts_such_a_pruning(
    name: str, recipe: NewRecipe
) -> None:
    reason = str(recipe(pruning=Holed(), quantization=_method(name)).conflict())
    assert naming(f"quantization.{name}", "pruning.none").search(reason)


def test_a_packed_file_becomes_a_plain_one_for_other_programs(
    context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(recipe(quantization=_method("int4_weights")), context)
    assert outcome.artifact
    served = context.artifacts.folder / outcome.artifact.path / SERVED
    plain = unpacked(served)
    assert {node.domain for node in plain.graph.node} == {""}
    onnx.save(plain, context.artifacts.folder / "plain.onnx")
    images = np.zeros((2, 1, 32, 32), np.float32)
    found, expected = (
        Session(path, threads=1).predict(images)
        for path in (context.artifacts.folder / "plain.onnx", served)
    )
    assert np.array_equal(found, expected)
