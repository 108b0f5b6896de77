"""Row 36 of the faults: what a foreign folder says in recipe.json, its card and its ONNX files."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from search.data.dataset import Dataset
from search.errors import ArtifactError, BadInput
from search.evaluation.artifact import RECIPE, read_provenance
from search.evaluation.onnx_metadata import LABELS, PREPROCESSING
from search.export.evaluated_model import EvaluatedModel, open_model
from search.export.exporting import export_student
from search.export.record import read_export_record
from search.export.verify import _claimed
from search.files.atomic import written_whole
from search.objectives.metrics import ACCURACY
from tests.messages import naming
from tests.search.export.conftest import Tested

HEADS = {
    "aliases": "a: &a [x, x]\nb: [*a, *a]\nmodel-index: *a\n",
    "depth": "model-index: " + "[" * 20_000 + "\n",
    "merges": "a: &a {x: 1}\nmodel-index:\n  <<: [*a, *a]\n",
    "a value above one": "model-index: [{results: [{metrics: [{type: accuracy, value: 7}]}]}]\n",
    "no head": "",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_fault_36_the_head_of_a_card_is_read_strictly(head: str, tmp_path: Path) -> None:
    text = f"---\n{head}---\n# card\n" if head else "card"
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ArtifactError, match=naming(tmp_path / "README.md")):
        _claimed(tmp_path, ACCURACY)


def test_fault_36_a_card_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "README.md").open("wb") as sparse:
        sparse.truncate(2**30)
    with pytest.raises(ArtifactError, match=naming(tmp_path / "README.md", f"{2**30:,}")):
        _claimed(tmp_path, ACCURACY)


WRONG = {
    "text for bytes": ("measured", "cost", "size_bytes", "many"),
    "a list of measurements": ("measured", "hardware", []),
    "metrics that are a list": ("measured", "quality", [1]),
    "a metric that is text": ("measured", "test", "accuracy", "good"),
    "a metric that is not here": ("study", "search", {"objective": "elegance"}),
    "a limit that is not here": ("study", "budget", {"elegance": 3}),
    "a thousand threads too many": ("measured", "hardware", "threads", 10**9),
    "a device that is none": ("measured", "hardware", "device", "toaster"),
    "threads without end": ("measured", "hardware", "threads", float("inf")),
    "a teacher that is text": ("measured", "teacher", "schooled"),
    "a study that is a list": ("study", []),
    "data that are none": ("study", "data", {"source": "elsewhere"}),
    "a budget below zero": ("study", "budget", {"size": -1}),
    "a seed that is none": ("study", "seed", {}),
    "a trial that is none": ("chosen", "trial", None),
    "two means for a channel": ("data", "mean", [0.1, 0.2]),
    "no classes": ("data", "classes", []),
}


@pytest.mark.parametrize("place", WRONG.values(), ids=WRONG.keys())
def test_fault_36_what_a_recipe_says_of_another_type_is_refused_by_name(
    place: tuple[object, ...], told: str, tmp_path: Path
) -> None:
    document = json.loads(told)
    *keys, last, value = place
    section = document
    for key in keys:
        section = section[key]
    section[last] = value
    with written_whole(tmp_path / "student") as folder:
        (folder / RECIPE).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=naming(tmp_path / "student" / RECIPE)):
        (read_provenance if place[0] == "data" else read_export_record)(tmp_path / "student")


_told: list[str] = []


@pytest.fixture
def told(tested: Tested, tmp_path: Path) -> str:
    """A recipe.json, made once."""
    if not _told:
        _told.append((export_student(*tested(), tmp_path / "whole") / RECIPE).read_text())
    return _told[0]


def _opened(folder: Path, info: Dataset, *, shape: list[int | str], **said: str) -> EvaluatedModel:
    """A foreign file that gives an image's first three pixels for logits."""
    starts, ends = (
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("starts", 0), ("ends", 3))
    )
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("Slice", ["flat", "starts", "ends", "axes"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], 3])
    graph = helper.make_graph(nodes, "graph", [images], [logits], [starts, ends, axes])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, said)
    onnx.save(made, folder / "other.onnx")
    return open_model(str(folder / "other.onnx"), info.info, threads=1, scratch=folder)


def test_a_file_that_says_what_its_images_are_like_is_given_such(
    tmp_path: Path, stripes: Dataset
) -> None:
    said = json.dumps({"mean": [0.25], "std": [0.5], "image_size": 32})
    found = _opened(tmp_path, stripes, shape=["batch", 1, 32, 32], **{PREPROCESSING: said})
    assert (found.mean, found.std) == ((0.25,), (0.5,))


@pytest.mark.parametrize(
    "said",
    [{"mean": 5}, {"mean": ["a"]}, {"std": [0.0]}, {"mean": [0.1, 0.2]}, {"image_size": 10**9}],
)
def test_fault_36_what_a_file_says_that_cannot_be_used_is_refused(
    said: dict[str, object], tmp_path: Path, stripes: Dataset
) -> None:
    told = {PREPROCESSING: json.dumps(said)}
    with pytest.raises(BadInput, match=naming("other.onnx", PREPROCESSING)):
        _opened(tmp_path, stripes, shape=["batch", 1, 32, 32], **told)


def test_fault_36_labels_that_are_nested_without_end_are_not_ours(
    tmp_path: Path, stripes: Dataset
) -> None:
    told = {LABELS: "[" * 100_000}
    assert _opened(tmp_path, stripes, shape=["batch", 1, 32, 32], **told).image_size == 32


@pytest.mark.parametrize(
    ("shape", "large"), [([10**6, 1, 32, 32], 10**6), (["batch", 1, 10**5, 10**5], 10**5)]
)
def test_fault_36_a_file_that_takes_all_of_the_memory_is_refused(
    shape: list[int | str], large: int, tmp_path: Path, stripes: Dataset
) -> None:
    with pytest.raises(BadInput, match=naming("other.onnx", large)):
        _opened(tmp_path, stripes, shape=shape)
