"""Students, teachers and foreign models on the same images."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import timm
from onnx import TensorProto, helper
from torch import nn

from search.data.dataset import Dataset
from search.errors import BadInput
from search.evaluation.onnx_metadata import LABELS
from search.evaluation.predictions_file import TEACHER
from search.export.evaluate import EvaluationResult, evaluate
from search.export.exporting import export_student
from search.export.formats import ExportFormat
from search.export.operations import count_onnx
from search.objectives.budget import Budget
from search.objectives.counting import count_operations
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.limits import MACS, PARAMETERS, SIZE
from search.objectives.metrics import ACCURACY, AGREEMENT, metrics, wilson_interval
from search.pipeline.study_context import StudyContext
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import SERVED
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.ternary import Ternary
from tests.messages import naming
from tests.search.export.conftest import Tested

pytestmark = pytest.mark.slow

Compare = Callable[..., dict[str, EvaluationResult]]


@pytest.fixture
def compare(stripes: Dataset) -> Compare:
    def of(*models: str | Path, teacher: str | None = None) -> dict[str, EvaluationResult]:
        names = [str(each) for each in models]
        found = evaluate(names, stripes, part="test", teacher=teacher, threads=1)
        return {each.model: each for each in found}

    return of


def test_a_student_stands_as_it_was_measured(
    tested: Tested, compare: Compare, tmp_path: Path
) -> None:
    study, trial = tested(pruning=Magnitude(ratio=0.4, recovery=0.5), quantization=Int8Static())
    folder = export_student(study, trial, tmp_path / "student")
    (found,) = compare(folder).values()
    assert trial.test
    assert trial.outcome
    cost = trial.outcome.cost
    assert cost
    assert found.quality == trial.test
    assert found.interval(ACCURACY) == wilson_interval(trial.test["accuracy"].value, 36)
    for limit in (SIZE, PARAMETERS, MACS):
        assert found.cost[limit.cost] == cost[limit.cost]
    assert 0 < found.cost["latency_ms"] <= found.cost["latency_p95_ms"]


def test_a_row_has_every_metric_its_interval_and_every_cost(
    tested: Tested, compare: Compare, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    (found,) = compare(folder).values()
    row = found.to_json(DEFAULT_GOAL)
    assert row["accuracy"] == found.quality["accuracy"].value
    assert (row["low"], row["high"]) == (row["accuracy_low"], row["accuracy_high"])
    assert (row["low"], row["high"]) == found.interval(ACCURACY)
    assert {*metrics(), *(f"{name}_low" for name in metrics())} < row.keys()
    assert {*found.cost} < row.keys()


def test_a_teacher_and_a_further_form_stand_beside_it(
    tested: Tested, compare: Compare, context: StudyContext, tmp_path: Path
) -> None:
    study, trial = tested()
    folder = export_student(study, trial, tmp_path / "student", formats=[ExportFormat.UINT8])
    teacher, raw = context.artifacts.folder / TEACHER, folder / ExportFormat.UINT8.file
    found = compare(folder, teacher, raw, teacher=str(teacher))
    assert study.teacher
    assert found[str(teacher)].quality == study.teacher.test
    assert found[str(teacher)].quality["agreement"].value == 1.0
    assert found[str(raw)].quality == found[str(folder)].quality


def test_every_form_of_a_student_has_the_parameters_of_its_network(
    tested: Tested, compare: Compare, tmp_path: Path
) -> None:
    study, trial = tested(quantization=Ternary())
    formats = [ExportFormat.UINT8, ExportFormat.FP16]
    folder = export_student(study, trial, tmp_path / "student", formats=formats)
    found = compare(folder, folder / SERVED, *(folder / form.file for form in formats))
    assert len({(each.cost["parameters"], each.cost["macs"]) for each in found.values()}) == 1


def test_a_model_of_timms_is_served_as_it_says(
    tested: Tested, compare: Compare, tmp_path: Path
) -> None:
    study, trial = tested()
    folder = export_student(study, trial, tmp_path / "student")
    found = compare(folder, f"local-dir:{folder}")
    own, foreign = found.values()
    assert own.quality == foreign.quality
    for limit in (PARAMETERS, MACS):
        assert own.cost[limit.cost] == foreign.cost[limit.cost]


def test_a_foreign_file_has_its_operations_counted(
    schooled: nn.Module, compare: Compare, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    export_onnx(schooled, path, image_shape=(1, 32, 32))
    found = compare(path)[str(path)]
    counted = count_operations(schooled, (1, 32, 32))
    assert found.quality.keys() == metrics().keys() - {AGREEMENT.name}
    assert found.to_json(DEFAULT_GOAL)["agreement"] is None
    # The exporter folds normalisations into the convolutions before them.
    assert found.cost["parameters"] == pytest.approx(counted["parameters"], rel=0.02)
    assert found.cost["macs"] == counted["macs"]


@pytest.mark.parametrize("batch", [1, 100, "batch"])
def test_a_foreign_file_may_fix_its_batch_or_leave_its_sizes_open(
    schooled: nn.Module, compare: Compare, tmp_path: Path, batch: int | str
) -> None:
    usual, other = tmp_path / "usual.onnx", tmp_path / "other.onnx"
    export_onnx(schooled, usual, image_shape=(1, 32, 32))
    model = onnx.load(usual)
    batch_of, _, *sizes = model.graph.input[0].type.tensor_type.shape.dim
    if isinstance(batch, int):
        batch_of.dim_value = batch
    for size, name in zip(sizes, ("height", "width"), strict=True):
        size.dim_param = name
    onnx.save(model, other)
    found = compare(usual, other)
    assert found[str(other)].quality == found[str(usual)].quality
    assert found[str(other)].cost["latency_ms"] > 0


def test_a_foreign_file_that_takes_no_images_is_refused(compare: Compare, tmp_path: Path) -> None:
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1024])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1024])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["logits"])], "g", [given], [out]
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "flat.onnx")
    with pytest.raises(BadInput, match=naming(tmp_path / "flat.onnx", 2)):
        compare(tmp_path / "flat.onnx")


def test_metadata_of_others_under_our_names_are_not_ours(
    schooled: nn.Module, compare: Compare, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    export_onnx(schooled, path, image_shape=(1, 32, 32))
    model = onnx.load(path)
    helper.set_model_props(model, {"labels": "cat,dog", "preprocessing": "[1, 2]"})
    onnx.save(model, path)
    assert compare(path)[str(path)].quality["accuracy"].value > 0


def test_operations_of_a_known_network_are_counted_by_hand(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )  # fmt: skip
    export_onnx(network, tmp_path / "net.onnx", image_shape=(3, 8, 8))
    cost = count_onnx(tmp_path / "net.onnx", batch_shape=(1, 3, 8, 8))
    assert cost["parameters"] == (3 * 4 * 9 + 4) + (4 * 5 + 5)
    assert cost["macs"] == 8 * 8 * 4 * (3 * 9) + 4 * 5


def test_operations_of_attention_are_counted_in_a_file_too(tmp_path: Path) -> None:
    network = timm.create_model("test_vit", num_classes=5, img_size=32)
    export_onnx(network, tmp_path / "net.onnx", image_shape=(3, 32, 32))
    cost = count_onnx(tmp_path / "net.onnx", batch_shape=(1, 3, 32, 32))
    assert cost["macs"] == count_operations(network, (3, 32, 32))["macs"]


def test_what_is_no_model_is_refused(compare: Compare) -> None:
    with pytest.raises(BadInput, match=naming("'resnet18x'")):
        compare("resnet18x")


def test_a_model_of_other_classes_is_refused(compare: Compare, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=7, in_chans=1)
    export_onnx(network, tmp_path / "seven.onnx", image_shape=(1, 32, 32))
    with pytest.raises(BadInput, match=naming(tmp_path / "seven.onnx", 3, "[1, 7]")):
        compare(tmp_path / "seven.onnx")


def test_a_model_that_takes_other_images_is_refused_by_name(
    compare: Compare, tmp_path: Path
) -> None:
    network = timm.create_model("test_resnet", num_classes=3, in_chans=3)
    export_onnx(network, tmp_path / "colour.onnx", image_shape=(3, 32, 32))
    with pytest.raises(BadInput, match=naming(tmp_path / "colour.onnx", 1, 32)):
        compare(tmp_path / "colour.onnx")


def test_a_model_whose_classes_stand_in_another_order_is_refused(
    tested: Tested, compare: Compare, tmp_path: Path
) -> None:
    folder = export_student(*tested(), tmp_path / "student")
    model = onnx.load(folder / SERVED)
    (labels,) = (each for each in model.metadata_props if each.key == LABELS)
    labels.value = '["2", "1", "0"]'
    onnx.save(model, tmp_path / "turned.onnx")
    with pytest.raises(BadInput, match=naming(tmp_path / "turned.onnx", "0, 1, 2", "2, 1, 0")):
        compare(tmp_path / "turned.onnx")


def test_floors_of_the_budget_are_measured_and_broken_ones_are_named(
    tested: Tested, stripes: Dataset, tmp_path: Path
) -> None:
    study, trial = tested()
    folder = export_student(study, trial, tmp_path / "student")
    budget = Budget.model_validate({"recall": {"1": 1.0}, "metrics": {"accuracy": 0.001}})
    (found,) = evaluate([str(folder)], stripes, part="test", teacher=None, threads=1, budget=budget)
    recall = found.by_class.classes[1].recall
    assert recall is not None
    assert found.quality["recall.1"].value == recall
    row = found.to_json(DEFAULT_GOAL, budget.floors())
    assert row["recall.1"] == recall
    assert ("recall of 1" in row["broken_floors"]) is (recall < 1)
    assert "accuracy" not in row["broken_floors"]
    assert "broken_floors" not in found.to_json(DEFAULT_GOAL)
    other = Budget.model_validate({"recall": {"stop": 0.9}})
    (other_data,) = evaluate(
        [str(folder)], stripes, part="test", teacher=None, threads=1, budget=other
    )
    assert "recall.stop" not in other_data.quality
