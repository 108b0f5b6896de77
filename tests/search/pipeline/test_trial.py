from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from search.data.dataset import Dataset
from search.data.views.view import Views
from search.evaluation.artifact import check_whole, load_network, read_provenance
from search.evaluation.measure import predictions
from search.files.atomic import CHECKSUMS, file_digest
from search.objectives.budget import Budget
from search.objectives.counting import count_operations
from search.objectives.units import format_bytes
from search.pipeline.stage_cache import StageCache
from search.pipeline.student_builder import StudentBuilder
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import Outcome, TrialState
from search.targets.onnx_runtime import SERVED, Session
from spaces.axes.distillation import Needs
from spaces.distillation.soft_targets import SoftTargets
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.shrinks import SIZE_ONLY
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.conftest import task_in
from tests.messages import naming

NewRecipe = Callable[..., Recipe]


def _run(recipe: Recipe, context: StudyContext, *, seed: int = 0) -> Outcome:
    return finish(run_trial(recipe, context, number=7, seed=seed))


def _within(context: StudyContext, **limits: object) -> StudyContext:
    budget = Budget.model_validate(limits)
    return replace(context, requirements=replace(context.requirements, budget=budget))


@pytest.fixture(scope="module")
def compressed(recipe: NewRecipe) -> Recipe:
    return recipe(
        training=Standard(epochs=2, batch_size=16, warmup_epochs=1),
        pruning=Magnitude(ratio=0.4, recovery=0.5),
        quantization=Int8Static(),
    )


@pytest.fixture(scope="module")
def shipped(
    compressed: Recipe, stripes: Dataset, views: Views, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudyContext, Outcome]:
    """A whole trial of seed 5, for tests that only look at what came of it."""
    context = task_in(tmp_path_factory.mktemp("shipped"), stripes, views)
    outcome = _run(compressed, context, seed=5)
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    return context, outcome


def _left(context: StudyContext) -> list[str]:
    return context.artifacts.names()


def test_what_is_measured_is_the_file_that_is_shipped(
    shipped: tuple[StudyContext, Outcome],
) -> None:
    context, outcome = shipped
    assert outcome.quality
    assert outcome.cost
    assert outcome.artifact
    folder = context.artifacts.folder / outcome.artifact.path
    check_whole(folder)
    served = Session(folder / SERVED, threads=1)
    found = predictions(served, context.dataset.validation, context.dataset)
    assert outcome.quality["accuracy"].value == found.right.mean()
    assert outcome.quality["agreement"].value == np.mean(found.classes == context.teacher_classes)
    assert outcome.cost["size_bytes"] == (folder / SERVED).stat().st_size
    assert "latency_ms" in outcome.cost
    assert outcome.cost["latency_ms"] > 0


def test_the_artifact_rebuilds_the_student_and_tells_where_it_comes_from(
    shipped: tuple[StudyContext, Outcome], compressed: Recipe
) -> None:
    context, outcome = shipped
    assert outcome.artifact
    assert outcome.cost
    folder = context.artifacts.folder / outcome.artifact.path
    assert outcome.artifact.sha256 == file_digest(folder / CHECKSUMS)
    network = load_network(folder)
    counted = count_operations(network, context.requirements.image_shape)
    assert counted.items() <= outcome.cost.items()
    recovered = next(stage for stage in outcome.stages if stage.name == "recover")
    assert context.validation.score(network, context.dataset) == recovered.score
    known = read_provenance(folder)
    assert Recipe.from_params(known.params) == compressed
    assert known.origin == {"study": "stripes", "artifact": "trial-00007", "seed": 5}


def test_every_stage_is_noted_in_the_order_of_compression(
    shipped: tuple[StudyContext, Outcome],
) -> None:
    _, outcome = shipped
    names = [stage.name for stage in outcome.stages]
    assert names == ["admit", "distil", "prune", "recover", "quantize", "measure"]
    sizes = {stage.name: stage.cost.get("parameters") for stage in outcome.stages}
    assert sizes["prune"] < sizes["distil"]  # type: ignore[operator]


def test_each_stage_tells_what_the_students_file_took_after_it(
    shipped: tuple[StudyContext, Outcome],
) -> None:
    _, outcome = shipped
    assert outcome.cost
    stages = {stage.name: stage for stage in outcome.stages}
    sizes = [stages[name].cost["size_bytes"] for name in ("distil", "prune", "quantize")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert stages["recover"].cost == stages["prune"].cost
    assert stages["quantize"].cost == outcome.cost
    assert all(stages[name].cost["latency_ms"] for name in ("distil", "prune", "recover"))


def test_an_unpruned_student_is_compared_with_its_floats(
    context: StudyContext, recipe: NewRecipe
) -> None:
    stages = {s.name: s for s in _run(recipe(quantization=Int8Static()), context).stages}
    assert stages["distil"].cost["size_bytes"] > 2 * stages["quantize"].cost["size_bytes"]


def test_a_stage_that_made_no_difference_is_flagged_with_its_likely_cause(
    context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(recipe(quantization=Bloated()), context)
    assert outcome.state is TrialState.COMPLETE
    flagged = {stage.name: stage.no_op for stage in outcome.stages if stage.no_op}
    assert flagged.keys() == {"quantize"}
    assert outcome.cost
    assert naming(format_bytes(outcome.cost["size_bytes"])).search(flagged["quantize"])
    assert outcome.no_op == f"quantize: {flagged['quantize']}"
    assert _run(recipe(), context).no_op is None  # float32 is for nothing


class Bloated(Float32):
    """Says that it shrinks bytes, and adds some."""

    shrinks = SIZE_ONLY

    def convert(self, source, destination, *, calibration):
        model = onnx.load(source)
        model.doc_string = "words" * 1000
        onnx.save(model, destination)


def test_every_epoch_is_reported_and_kept(context: StudyContext, compressed: Recipe) -> None:
    told = list(run_trial(compressed, context, number=0, seed=0))
    outcome = finish(run_trial(compressed, context, number=0, seed=0))
    assert outcome.epochs == tuple(told)
    assert [(point.stage, point.epoch) for point in told] == [
        ("distil", 0),
        ("distil", 1),
        ("recover", 0),
    ]


def test_the_same_seed_gives_the_same_student(
    context: StudyContext, recipe: NewRecipe, tmp_path: Path
) -> None:
    context = replace(context, stages=StageCache(tmp_path, limit_bytes=0))
    weights = []
    for seed in (0, 0, 1):
        outcome = _run(recipe(), context, seed=seed)
        assert outcome.artifact
        weights.append(load_network(context.artifacts.folder / outcome.artifact.path).state_dict())
    same, other = (
        all(torch.equal(weights[0][key], again[key]) for key in weights[0]) for again in weights[1:]
    )
    assert same
    assert not other


def test_a_recipe_that_contradicts_itself_is_infeasible(
    context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(recipe(training=Standard(epochs=1, warmup_epochs=2)), context)
    assert outcome.state is TrialState.INFEASIBLE
    assert naming("training.standard", "warmup_epochs").search(str(outcome.reason))
    assert outcome.epochs == ()
    assert _left(context) == []


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ({"size": "10 kB"}, "10.0 KB"),
        ({"parameters": 1000}, "1.00 k"),
        ({"macs": 1000}, "1.00 k"),
        ({"latency": "0.0001ms"}, "0.10 µs"),
    ],
)
def test_a_student_over_the_budget_is_never_trained(
    limit: dict[str, object], shown: str, context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(recipe(), _within(context, **limit))
    assert outcome.state is TrialState.INFEASIBLE
    assert naming(shown).search(str(outcome.reason))
    assert max(outcome.violations.values()) > 0
    assert outcome.epochs == ()
    assert _left(context) == []


def test_a_student_that_cannot_be_built_or_pruned_is_infeasible(
    context: StudyContext, recipe: NewRecipe
) -> None:
    for student, fact in [("test_efficientnet", "blocks"), ("no_such", "'no_such'")]:
        outcome = _run(recipe(student=Timm(model=student), pruning=Depth()), context)
        assert outcome.state is TrialState.INFEASIBLE
        assert naming(fact).search(str(outcome.reason))


def test_a_student_that_cannot_take_the_images_is_infeasible(
    context: StudyContext, recipe: NewRecipe
) -> None:
    small = replace(context, requirements=replace(context.requirements, image_size=8))
    outcome = _run(recipe(student=Timm(model="test_vit")), small)
    assert outcome.state is TrialState.INFEASIBLE
    assert naming("VisionTransformer").search(str(outcome.reason))


def test_fault_09_a_learning_rate_that_diverges_is_a_failure_by_name(
    context: StudyContext, recipe: NewRecipe
) -> None:
    training = Standard(
        epochs=30, batch_size=16, learning_rate=1.0, optimizer="sgd", warmup_epochs=0
    )
    student = Timm(model="test_vit")
    outcome = _run(recipe(student=student, training=training, distillation=Loud()), context)
    assert outcome.state is TrialState.FAILED
    assert outcome.failure
    assert outcome.failure.kind == "non_finite"
    assert "TrialError" in outcome.failure.traceback
    assert outcome.quality == {}
    assert _left(context) == []


class Loud(SoftTargets):
    """A loss that any learning rate is too high for."""

    needs = Needs.NOTHING

    def loss(self, batch, *, label_smoothing=0.0):
        return -batch.student.pow(3).sum() * 1e6


def test_what_goes_wrong_is_a_failure_with_its_traceback(
    context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(
        recipe(distillation=SoftTargets()), context
    )  # this task's teacher left no logits
    assert outcome.state is TrialState.FAILED
    assert outcome.failure
    assert outcome.failure.kind == "ValueError"
    assert naming("logits").search(outcome.failure.message)
    assert "soft_targets.py" in outcome.failure.traceback
    assert [stage.name for stage in outcome.stages] == ["admit"]
    assert _left(context) == []


def test_what_a_network_loses_is_the_same_whatever_was_drawn_before(
    context: StudyContext, recipe: NewRecipe
) -> None:
    mixed = recipe(training=Standard(epochs=1, batch_size=16, mixup=0.4, cutmix=0.4, erasing=0.5))
    torch.manual_seed(0)
    network = context.requirements.build(mixed.student)

    def losses(seed: int) -> list[float]:
        torch.manual_seed(seed)
        return [loss.item() for loss in StudentBuilder(context, 0).losses(network, recipe=mixed)]

    assert losses(1) == losses(2)


@pytest.fixture(scope="module")
def over_floors(
    recipe: NewRecipe,
    stripes: Dataset,
    views: Views,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[StudyContext, Outcome]:
    """A trial of a network that has hardly learned, which breaks floors of the budget."""
    context = _within(
        task_in(tmp_path_factory.mktemp("floors"), stripes, views),
        size="10MB",
        recall={"1": 1.0},
        metrics={"accuracy": 1.0, "macro_f1": 0.001},
    )
    untaught = recipe(training=Standard(epochs=1, batch_size=16, learning_rate=1e-5))
    return context, _run(untaught, context)


def test_a_student_that_breaks_a_floor_is_complete_and_over_the_budget_with_a_reason(
    over_floors: tuple[StudyContext, Outcome],
) -> None:
    context, outcome = over_floors
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert outcome.artifact is not None
    assert outcome.artifact.path in _left(context)
    value = outcome.quality["accuracy"].value
    assert value < 1
    assert outcome.reason is not None
    assert f"accuracy {value:.2%} is below 100.00%" in outcome.reason
    assert outcome.violations["accuracy"] == pytest.approx(1 - value)
    assert outcome.violations["size_bytes"] < 0


def test_the_recall_of_a_named_class_is_measured_on_the_served_file(
    over_floors: tuple[StudyContext, Outcome],
) -> None:
    context, outcome = over_floors
    assert outcome.artifact
    folder = context.artifacts.folder / outcome.artifact.path
    served = Session(folder / SERVED, threads=1)
    found = predictions(served, context.dataset.validation, context.dataset)
    images, right = found.by_class(3)[1]
    assert outcome.quality["recall.1"].value == right / images


def test_the_values_with_floors_are_measured_after_each_epoch(
    over_floors: tuple[StudyContext, Outcome],
) -> None:
    (point,) = over_floors[1].epochs
    assert set(point.floors) == {"recall.1", "accuracy", "macro_f1"}
    assert point.floors["accuracy"] == point.score


def test_a_student_that_meets_the_floors_has_no_reason(
    context: StudyContext, recipe: NewRecipe
) -> None:
    outcome = _run(recipe(), _within(context, metrics={"accuracy": 0.001}))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert outcome.reason is None
    assert outcome.violations["accuracy"] < 0
