"""One file of an installed distribution adds a metric, a limit and a method to all of retort."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from search.errors import StudyFileError
from tests.contracts import added
from tests.messages import naming
from tests.plugins import write_plugin

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Searched(NamedTuple):
    """A folder with a search's store, artifacts and exported student, and what was shown."""

    folder: Path
    told: Mapping[str, Any]


@pytest.fixture(scope="module")
def searched(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A search in a process where the plugin is installed, as it is not in this one."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("searched")
    write_plugin(site, "added", Path(str(added.__file__)).read_text())
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.search_with_added", folder, stripes_file],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Searched(folder, json.loads(done.stdout.splitlines()[-1]))


def test_the_lists_name_each_and_where_it_comes_from(searched: Searched) -> None:
    told = searched.told
    (metric,) = (one for one in told["metrics"] if one["name"] == "calibration_error")
    (limit,) = (one for one in told["limits"] if one["name"] == "layers")
    assert metric["origin"] == limit["origin"] == "added"
    assert metric["best"] < metric["worst"]
    assert "logits" in [method["name"] for method in told["methods"]]


def test_every_trial_is_measured_by_them(searched: Searched) -> None:
    trials = searched.told["trials"]
    assert len(trials) == 3
    for trial in trials:
        assert trial["distillation"] == "logits"
        assert 0 <= trial["calibration_error"] <= 1
        assert trial["layers"] > 1
        assert 0 <= trial["accuracy"] <= 1


def test_the_best_is_the_one_with_the_least_of_a_metric_of_which_less_is_better(
    searched: Searched,
) -> None:
    trials = searched.told["trials"]
    least = min(trials, key=lambda trial: trial["calibration_error"])
    assert searched.told["number"] == least["trial"]


def test_commands_show_them(searched: Searched) -> None:
    told = searched.told
    assert naming("calibration", "error").search(told["table"])
    assert "500 layers" in told["plan"]
    (best,) = (trial for trial in told["trials"] if trial["trial"] == told["number"])
    assert f"{best['layers']:.0f} layers" in told["tight"]


def test_the_card_and_verify_speak_of_them(searched: Searched) -> None:
    card = (searched.folder / "student" / "README.md").read_text()
    assert "calibration error" in card
    assert "layers" in card
    checks = {check["check"]: check for check in searched.told["verify"]}
    assert [check for check in checks.values() if check["holds"] is False] == []
    assert checks["budget"]["holds"] is True


def test_the_dashboard_and_the_report_show_them(searched: Searched) -> None:
    frontier, influence = searched.told["frontier"], searched.told["influence"]
    assert "Calibration error" in frontier["metrics"]
    assert "Layers" in frontier["metrics"]
    assert {"Calibration error, at most", "Layers, at most"} <= set(frontier["sliders"])
    assert "**Calibration error against layers**" in frontier["texts"]
    assert any("calibration error" in text.lower() for text in influence["texts"])
    assert "Calibration error against" in (searched.folder / "report.html").read_text()


def test_without_the_plugin_its_study_names_what_lacks(searched: Searched) -> None:
    from search.config.loader import load_study

    with pytest.raises(StudyFileError, match=r"space\.distillation\.logits"):
        load_study(searched.folder / "study.yaml")
