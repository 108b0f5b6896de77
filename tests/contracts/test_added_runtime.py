"""One file of an installed distribution adds a runtime: the whole search serves by it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from search.errors import ArtifactError
from search.evaluation.artifact import load_network
from search.export import load
from search.export.verify import verify
from tests.contracts import probe
from tests.plugins import write_plugin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Searched(NamedTuple):
    """A folder with a search's store, artifacts and exported student, and what commands said."""

    folder: Path
    told: Mapping[str, Any]

    @property
    def student(self) -> Path:
        return self.folder / "student"


@pytest.fixture(scope="module")
def searched(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A search in a process where the plugin is installed, as it is not in this one."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("searched")
    write_plugin(site, "probe", Path(str(probe.__file__)).read_text())
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.search_with_probe", folder, stripes_file],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Searched(folder, json.loads(done.stdout.splitlines()[-1]))


def test_its_artifacts_hold_its_file_and_no_other(searched: Searched) -> None:
    artifacts = searched.folder / "artifacts" / "stripes"
    served = sorted(artifacts.glob("*/model.probe"))
    assert [path.parent.name for path in served] == ["teacher", "trial-00000", "trial-00001"]
    assert list(artifacts.glob("**/*.onnx")) == []
    for path in served:
        assert path.read_bytes().startswith(b"PK")  # an archive of NumPy's


def test_a_trial_is_measured_on_its_file_by_it(searched: Searched) -> None:
    told = searched.told
    assert told["size_bytes"] == (searched.student / "model.probe").stat().st_size
    assert told["latency_ms"] > 0
    assert told["hardware"]["runtime"] == "probe 1.0"
    assert "probe 1.0" in told["show"]


def test_costs_are_kept_by_its_version(searched: Searched) -> None:
    with closing(sqlite3.connect(searched.folder / "retort.db")) as store:
        runtimes = [runtime for (runtime,) in store.execute("SELECT runtime FROM costs")]
    assert {runtime.partition(",")[0] for runtime in runtimes} == {"probe 1.0"}


def test_a_number_format_that_it_does_not_serve_is_refused_before_any_work(
    searched: Searched,
) -> None:
    assert "space.quantization.int8_static" in searched.told["int8"]
    assert "probe" in searched.told["int8"]
    assert "float32" not in searched.told["int8"]


def test_the_export_and_its_card_speak_of_its_file(searched: Searched) -> None:
    card = (searched.student / "README.md").read_text()
    assert "`model.probe`" in card
    assert "by Probe" in card
    assert "onnx" not in card.lower()
    assert json.loads((searched.student / "recipe.json").read_text())["runtime"] == "probe"
    assert "onnx" not in searched.told["export"].lower()


def test_verify_looks_at_its_file_and_finds_it_as_it_was_measured(searched: Searched) -> None:
    checks = {check["check"]: check for check in searched.told["verify"]}
    assert [check for check in checks.values() if check["holds"] is False] == []
    for name in ("model.probe", "retort", "size", "predictions", "budget"):
        assert checks[name]["holds"] is True, checks[name]


def test_evaluate_measures_its_file(searched: Searched) -> None:
    (line,) = searched.told["evaluate"]
    assert line["size_bytes"] == (searched.student / "model.probe").stat().st_size
    assert line["latency_ms"] > 0


def test_the_doctor_lists_it(searched: Searched) -> None:
    assert searched.told["doctor"]["probe"] == "1.0"


def test_without_the_plugin_the_floats_load_and_the_rest_names_what_lacks(
    searched: Searched,
) -> None:
    assert load(searched.student).labels == ("0", "1", "2")
    assert load_network(searched.student)
    with pytest.raises(ArtifactError, match=r"'probe'"):
        list(verify(searched.student))
