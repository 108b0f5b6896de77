"""What changes the keys of stages, costs, teachers, logits and data, and what does not."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

import pytest

import search.versions
from search.cost_model.cost_setting import setting_of
from search.objectives.limit import Limit
from search.objectives.limits import SIZE
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY, BALANCED_ACCURACY
from search.versions import FILE_LIBRARIES
from spaces import registry
from spaces.axes.order import AXES
from spaces.distillation.fitnets import FitNets
from spaces.distillation.labels import Labels
from spaces.distillation.soft_targets import SoftTargets
from spaces.method import Method
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.int8_static import Int8Static
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.versions.keys import all_keys
from tests.versions.problem import requirements
from tests.versions.table import STAGES

ROOT = Path(__file__).parents[2]

ON_LABELS = {
    "trained", "with mixup", "with cutmix", "with erasing", "with ema", "with bce",
    "with class weights", "with balanced sampling", "with drop path", "pretrained",
}  # fmt: skip
ON_FEATURES = {"on features", "pruned on features"}
PRUNED = {"pruned", "pruned on features", "tuned"}
STUDENTS = ON_LABELS | ON_FEATURES | PRUNED | {"on logits"}
TEACHERS = {"teacher", "teacher by a probe", "taught teacher"}
COSTS = {"cost", "cost cut evenly", "cost cut in depth", "cost in int8"}

# What follows from a method; from the others nothing that has a key here.
FROM_METHODS: Mapping[type[Method], set[str]] = {
    Timm: STUDENTS | COSTS,
    Standard: STUDENTS | TEACHERS,
    Labels: ON_LABELS | {"pruned", "tuned", "teacher", "teacher by a probe"},
    SoftTargets: {"on logits", "taught teacher"},
    FitNets: ON_FEATURES,
    NoPruning: {"tuned"},
    # Of a student that is cut evenly the cost is any such method's.
    Magnitude: {"pruned", "pruned on features"},
    Depth: {"cost cut in depth"},
    Float32: COSTS - {"cost in int8"},
    Int8Static: {"cost in int8"},
    Int8Qat: {"tuned"},
}
FROM_STAGES: Mapping[str, set[str]] = {
    "search.config.student_spec.VERSION": STUDENTS | COSTS,
    "search.data.images.VERSION": STUDENTS | TEACHERS | {"logits", "data"},
    "search.data.views.rendering.VERSION": STUDENTS | TEACHERS | {"logits"},
    "search.data.parts.VERSION": STUDENTS | TEACHERS | {"logits"},
    "search.data.prepare.VERSION": {"data"},  # of whose name the others are made
    "search.training.trainer.VERSION": STUDENTS | TEACHERS,
    "search.training.distiller.VERSION": STUDENTS | TEACHERS,
    "search.training.balancing.VERSION": {"with class weights", "with balanced sampling"},
    "search.training.drop_path.VERSION": {"with drop path"},
    "search.training.ema.VERSION": {"with ema"},
    "search.training.ensemble.VERSION": {"on logits", "taught teacher"},
    "search.training.erasing.VERSION": {"with erasing"},
    "search.training.mixup.VERSION": {"with mixup", "with cutmix"},
    "search.teachers.adapters.VERSION": ON_FEATURES | {"on logits", "logits", "taught teacher"},
    "search.teachers.finetune.VERSION": TEACHERS,
    "search.teachers.linear_probe.VERSION": {"teacher by a probe"},
    "search.teachers.logits_cache.VERSION": {"on logits", "logits", "taught teacher"},
    "search.pipeline.student_builder.TRAINING_VERSION": STUDENTS,
    "search.pipeline.pruning_steps.VERSION": PRUNED,
    "search.pipeline.student_builder.TUNING_VERSION": {"tuned"},
    "search.targets.onnx_runtime.OnnxRuntime.file_version": COSTS,
    "search.targets.onnx_export.VERSION": COSTS,
    "search.cost_model.dry_run.VERSION": COSTS,
    "spaces.axes.label_loss.VERSION": {"with bce", "with class weights"},
    "spaces.students.normalization.VERSION": {"pretrained"},
    "spaces.counting.VERSION": STUDENTS | COSTS,
    "spaces.pruning.structured.channels.VERSION": PRUNED | COSTS,
}
FROM_LIBRARIES: Mapping[str, set[str]] = {
    "torch": STUDENTS | COSTS | TEACHERS | {"logits"},
    "timm": STUDENTS | COSTS | TEACHERS | {"logits"},
    "torch-pruning": PRUNED | COSTS,
    "onnx": COSTS,
}
METHODS = [
    pytest.param(method, id=f"{axis.axis}-{name}")
    for axis in AXES
    for name, method in registry.methods(axis.axis).items()
]


def _changed(before: Mapping[str, str]) -> set[str]:
    return {name for name, key in all_keys().items() if key != before[name]}


def test_keys_differ() -> None:
    keys = all_keys()
    assert len({*keys.values()}) == len(keys)


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_version_changes_what_follows_from_it(
    method: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_keys()
    monkeypatch.setattr(method, "version", method.version + 1)
    assert _changed(before) == FROM_METHODS.get(method, set())


def test_every_stage_is_tried() -> None:
    assert FROM_STAGES.keys() == STAGES.keys()


@pytest.mark.parametrize("constant", FROM_STAGES)
def test_a_stages_version_changes_what_follows_from_it(
    constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_keys()
    module, _, name = constant.rpartition(".")
    stage = resolve_name(module)
    monkeypatch.setattr(stage, name, getattr(stage, name) + 1)
    assert _changed(before) == FROM_STAGES[constant]


@pytest.mark.parametrize(
    ("entry", "changed"),
    [(ACCURACY, STUDENTS | TEACHERS), (SIZE, COSTS), (BALANCED_ACCURACY, set())],
    ids=lambda entry: getattr(entry, "name", ""),
)
def test_the_version_of_a_metric_or_limit_changes_what_follows_from_it(
    entry: Metric | Limit, changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_keys()
    monkeypatch.setitem(vars(entry), "version", entry.version + 1)
    assert _changed(before) == changed


@pytest.mark.parametrize("library", FILE_LIBRARIES)
def test_a_librarys_version_changes_what_follows_from_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_keys()
    installed = search.versions.version
    monkeypatch.setattr(
        search.versions,
        "version",
        lambda name: "another" if name == library else installed(name),
    )
    assert _changed(before) == FROM_LIBRARIES[library]


def test_other_text_in_our_files_and_other_files_change_no_key(tmp_path: Path) -> None:
    for folder in ("search", "spaces", "tests/versions"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in tmp_path.rglob("*.py"):
        text = file.read_text().replace('"""', '"""Changed: ', 1)
        file.write_text(f"{text}\n# A comment more.\n")
    (tmp_path / "spaces/distillation/empty.py").touch()
    command = [sys.executable, "-W", "ignore", "-m", "tests.versions.keys"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {**all_keys(), "our files": str(tmp_path)}


def test_a_cost_setting_names_the_runtime_and_a_digest_of_versions() -> None:
    runtime = setting_of(requirements()).runtime
    assert re.fullmatch(r"onnxruntime \d+[\w.]+, files by [0-9a-f]{12}", runtime)
