"""What `retort methods` says, and the page that is made of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spaces import catalogue
from spaces.axes.order import AXES
from spaces.listing import as_markdown, list_methods

PAGE = Path(__file__).parents[3] / "docs" / "methods.md"


def _methods(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from search.cli.main import main; main()"
    command = [sys.executable, "-c", code, "methods", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_method_of_every_axis_is_listed() -> None:
    listed = [(method.axis, method.name) for method in list_methods()]
    assert listed == [(axis.axis, name) for axis in AXES for name in catalogue.methods(axis.axis)]


def test_a_method_is_told_with_its_parameters_its_paper_and_what_it_shrinks() -> None:
    told = {method.name: method.to_json() for method in list_methods("quantization")}["int8_static"]
    assert told["papers"][0] == "arXiv:1712.05877"
    assert told["shrinks"].startswith("bytes, latency")
    assert {"name": "calibration", "domain": "one of min_max, entropy, percentile",
            "default": "min_max"} in told["parameters"]  # fmt: skip


def test_scripts_get_json_of_one_axis() -> None:
    done = _methods("distillation", "--json")
    found = json.loads(done.stdout)
    assert {method["axis"] for method in found} == {"distillation"}
    assert {method["name"]: method["needs"] for method in found}["soft_targets"] == "logits"


def test_people_get_a_line_for_each_parameter() -> None:
    done = _methods("training")
    assert "training.standard" in done.stdout
    assert "  learning_rate: 1e-05 to 1 (log); by default 0.01" in done.stdout


def test_an_axis_that_is_not_there_is_refused() -> None:
    done = _methods("prunning")
    assert done.returncode == 2
    assert "axis must be one of" in done.stderr


def test_the_page_shows_the_methods_that_there_are() -> None:
    if as_markdown(list_methods()) not in PAGE.read_text():
        pytest.fail(f"write the output of `retort methods --markdown` into {PAGE}")
