"""A student that is no timm network goes all the way, from training to its use."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from search.errors import ArtifactError
from search.evaluation.artifact import load_network, read_provenance
from search.export import load
from search.export.exporting import export_student
from search.export.formats import ExportFormat
from search.export.verify import verify
from search.run import run_study
from search.storage.storage import Store
from spaces import registry
from spaces.plugins import plugin_modules
from tests.faults.without_ray import STRIPES_SPACE, TrialRecorder, one_after_another, study_of
from tests.messages import naming
from tests.pages import code_block
from tests.plugins import write_plugin

MODULE = "own_conv_tower"
# By name: the pruning, the number format.
RECIPES = {"plain": ("none", "float32"), "compressed": ("group_lasso", "int8_static")}
over_recipes = pytest.mark.parametrize("recipe", RECIPES)


def _forget() -> None:
    plugin_modules.cache_clear()
    registry.methods.cache_clear()
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The student of the docs, in a distribution that is installed."""
    site = tmp_path_factory.mktemp("site")
    write_plugin(site, MODULE, code_block("docs/plugins.md", "python", '"conv_tower"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        _forget()
        yield
    _forget()


@pytest.fixture(scope="module")
def exported(
    _installed: None, stripes_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A search for each recipe, and the folder that its student was exported to."""
    folders = {}
    for name, (pruning, quantization) in RECIPES.items():
        folder = tmp_path_factory.mktemp(name)
        space = {
            **STRIPES_SPACE,
            "student": {"conv_tower": {"width": 8}},
            "distillation": ["soft_targets"],
            "pruning": {pruning: {"ratio": 0.4} if pruning != "none" else None},
            "quantization": [quantization],
        }
        study = study_of(folder, stripes_file, space=space, search={"trials": 1})
        with one_after_another(), Store.open(study.run.storage) as store:
            chosen = run_study(study, store, TrialRecorder())
            assert chosen is not None
            formats = [ExportFormat.FP16, ExportFormat.UINT8]
            export_student(store.study("stripes"), chosen, folder / "student", formats=formats)
        folders[name] = folder / "student"
    return folders


@over_recipes
def test_its_export_holds_whatever_verify_checks(recipe: str, exported: dict[str, Path]) -> None:
    checks = {check.name: check for check in verify(exported[recipe])}
    files = {ExportFormat.FP16.file, ExportFormat.UINT8.file, "model.onnx"}
    assert {"checksums", "retort", *files} <= checks.keys()
    assert "timm" not in checks
    assert [check for check in checks.values() if check.holds is False] == []
    assert not (exported[recipe] / "config.json").exists()
    assert "config.json" not in (exported[recipe] / "README.md").read_text()


def test_it_loads_without_losing_what_was_cut(exported: dict[str, Path]) -> None:
    images = torch.randn(4, 1, 32, 32)
    model, _, labels = load(exported["compressed"])
    assert model(images).shape == (4, len(labels))
    pruned, whole = (load_network(exported[recipe]) for recipe in ("compressed", "plain"))
    assert read_provenance(exported["compressed"]).cuts
    sizes = [sum(weight.numel() for weight in each.parameters()) for each in (pruned, whole)]
    assert sizes[0] < 0.5 * sizes[1]


def test_whoever_has_not_its_plugin_is_told_which_method_is_missing(
    exported: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[1:])
    _forget()
    with pytest.raises(ArtifactError, match=naming("conv_tower", exported["plain"])):
        load(exported["plain"])
    monkeypatch.undo()
    _forget()
    assert load(exported["plain"])
