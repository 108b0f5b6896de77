import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from search.data.dataset import Dataset
from search.errors import ArtifactError
from search.evaluation.artifact import (
    FORMAT,
    RECIPE,
    WEIGHTS,
    Provenance,
    check_whole,
    load_network,
    read_provenance,
    write_student,
    write_weights,
)
from search.files.atomic import CHECKSUMS, written_whole
from spaces.axes.pruning import Pruning
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from tests.messages import naming


def _write(folder: Path, network: nn.Module, pruning: Pruning, dataset: Dataset, recipe) -> None:
    pruned, cuts = pruning.apply(network, torch.zeros(1, 1, 32, 32))
    provenance = Provenance(
        params=recipe(pruning=pruning).to_params(),
        cuts=tuple(cuts),
        data=dataset.info,
        origin={"study": "stripes", "trial": 3},
    )
    with written_whole(folder) as temporary:
        write_student(temporary, pruned.eval(), provenance)
    folder.with_suffix(".logits").write_text(json.dumps(_logits(pruned)))


@torch.inference_mode()
def _logits(network: nn.Module) -> list[list[float]]:
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    logits: list[list[float]] = network(images).tolist()
    return logits


@pytest.fixture
def folder(tmp_path: Path, schooled: nn.Module, stripes: Dataset, recipe) -> Path:
    """A pruned student on disk."""
    _write(tmp_path / "student", schooled, Magnitude(ratio=0.5), stripes, recipe)
    return tmp_path / "student"


def test_weights_that_share_memory_are_kept(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    write_weights(tmp_path / "weights", network)
    kept = load_file(tmp_path / "weights")
    assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("pruning", [NoPruning(), Magnitude(ratio=0.5)], ids=["whole", "pruned"])
def test_a_student_comes_back_to_the_bit(
    pruning: Pruning, tmp_path: Path, schooled: nn.Module, stripes: Dataset, recipe
) -> None:
    _write(tmp_path / "student", schooled, pruning, stripes, recipe)
    network = load_network(tmp_path / "student")
    assert not network.training
    expected = json.loads((tmp_path / "student.logits").read_text())
    assert _logits(network) == expected


def test_what_was_noted_of_a_student_comes_back(folder: Path, stripes: Dataset, recipe) -> None:
    found = read_provenance(folder)
    assert found.data == stripes.info
    assert found.origin == {"study": "stripes", "trial": 3}
    assert found.params == recipe(pruning=Magnitude(ratio=0.5)).to_params()


def _rewrite(folder: Path, **changes: object) -> None:
    """Changes recipe.json and the list of checksums with it, as another program might."""
    document = json.loads((folder / RECIPE).read_text())
    weights = (folder / WEIGHTS).read_bytes()
    with written_whole(folder) as temporary:
        (temporary / RECIPE).write_text(json.dumps({**document, **changes}))
        (temporary / WEIGHTS).write_bytes(weights)


def test_fault_28_a_newer_format_is_refused_with_both_numbers(folder: Path) -> None:
    _rewrite(folder, format=1003)
    with pytest.raises(ArtifactError, match=naming(folder, FORMAT, 1003)):
        read_provenance(folder)


@pytest.mark.parametrize("file", [RECIPE, WEIGHTS])
def test_fault_28_a_changed_file_is_refused_by_name(file: str, folder: Path) -> None:
    with (folder / file).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ArtifactError, match=naming(folder, file)):
        load_network(folder)


@pytest.mark.parametrize("file", [RECIPE, WEIGHTS, CHECKSUMS])
def test_a_missing_file_is_refused_by_name(file: str, folder: Path) -> None:
    (folder / file).unlink()
    with pytest.raises(ArtifactError, match=naming(folder, file)):
        load_network(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=naming(tmp_path / "nowhere")):
        check_whole(tmp_path / "nowhere")


def test_a_recipe_that_is_not_understood_is_refused(folder: Path) -> None:
    _rewrite(folder, data={})
    with pytest.raises(ArtifactError, match=naming(folder / RECIPE)):
        read_provenance(folder)


def test_a_recipe_of_an_unknown_method_is_refused(folder: Path, recipe) -> None:
    _rewrite(folder, params={**recipe().to_params(), "pruning": "of_tomorrow"})
    with pytest.raises(ArtifactError, match=naming(folder, "pruning", "'of_tomorrow'")):
        load_network(folder)


def test_weights_that_do_not_fit_the_recipe_are_refused(folder: Path) -> None:
    _rewrite(folder, cuts=[])
    with pytest.raises(ArtifactError, match=naming(folder, "conv1.0.weight")):
        load_network(folder)
