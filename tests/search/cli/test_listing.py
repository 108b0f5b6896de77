"""What `retort methods` and `retort settings` say, and the pages that are made of them."""

import json
from pathlib import Path

import pytest

from search.config import reference
from search.errors import BadInput
from spaces import registry
from spaces.axes.order import AXES
from spaces.listing import as_markdown, list_methods
from tests.search.cli.conftest import Retort

DOCS = Path(__file__).parents[3] / "docs"


def test_every_method_of_every_axis_is_listed() -> None:
    listed = [(method.axis, method.name) for method in list_methods()]
    assert listed == [(axis.axis, name) for axis in AXES for name in registry.methods(axis.axis)]


def test_a_method_is_told_with_its_parameters_its_paper_and_what_it_shrinks() -> None:
    told = {method.name: method.to_json() for method in list_methods("quantization")}["int8_static"]
    assert told["papers"][0] == "arXiv:1712.05877"
    assert told["shrinks"].startswith("bytes, latency")
    assert {"name": "calibration", "domain": "one of min_max, entropy, percentile",
            "default": "min_max"} in told["parameters"]  # fmt: skip


def test_scripts_get_json_of_one_axis(retort: Retort) -> None:
    done = retort("methods", "distillation", "--json")
    found = json.loads(done.stdout)
    assert {method["axis"] for method in found} == {"distillation"}
    assert {method["name"]: method["needs"] for method in found}["soft_targets"] == "logits"


def test_people_get_a_line_for_each_parameter(retort: Retort) -> None:
    done = retort("methods", "training")
    assert "training.standard" in done.stdout
    assert "  learning_rate: 1e-05 to 1 (log); by default 0.01" in done.stdout


def test_an_axis_that_is_not_there_is_refused(retort: Retort) -> None:
    with pytest.raises(BadInput, match="axis must be one of"):
        retort("methods", "prunning")


def test_the_page_shows_the_methods_that_there_are() -> None:
    page = DOCS / "methods.md"
    if as_markdown(list_methods()) not in page.read_text():
        pytest.fail(f"write the output of `retort methods --markdown` into {page}")


def test_every_setting_has_a_meaning_and_some_must_be_given() -> None:
    told = {setting.key: setting for setting in reference.list_settings()}
    assert [key for key, setting in told.items() if not setting.meaning] == []
    required = [key for key, setting in told.items() if setting.default is None]
    assert required == ["study", "data", "data.source", "teacher", "space"]


@pytest.mark.parametrize(
    ("key", "takes", "default"),
    [
        ("budget.size", "bytes, such as 2MB", "null"),
        ("budget.target.device", "one of cpu, cuda", "cpu"),
        ("data.in_memory", "bytes, such as 2MB", "2.00 GB"),
        ("data.image_size", "whole number, at least 8, at most 1024", "32"),
        ("data.test_share", "number, at least 0, below 1", "0.15"),
        ("data.path", "path", "null"),
        ("search.stopping", "true or false", "true"),
        ("search.max_time", "time, such as 2h", "null"),
        ("search.warm_start", "list; each: text", "[]"),
        ("teacher", "the keys below, or a list of such", None),
        ("teacher.train.epochs", "whole number, at least 1", "20"),
        ("teacher.std", "list; each: number, above 0", "null"),
    ],
)
def test_a_setting_is_told_with_what_it_takes(key: str, takes: str, default: str | None) -> None:
    told = {setting.key: setting for setting in reference.list_settings()}[key]
    assert (told.takes, told.default) == (takes, default)


def test_scripts_get_json_of_one_part_of_a_study(retort: Retort) -> None:
    found = json.loads(retort("settings", "budget", "--json").stdout)
    assert [setting["key"] for setting in found][:3] == ["budget", "budget.size", "budget.latency"]


def test_people_get_the_settings_with_their_defaults(retort: Retort) -> None:
    done = retort("settings", "search")
    assert "search.trials  recipes that are trained, to their end or until stopped" in done.stdout
    assert "  whole number, at least 1; by default 30" in done.stdout


def test_a_part_that_is_not_there_is_refused(retort: Retort) -> None:
    with pytest.raises(BadInput, match="part must be one of study, seed, data"):
        retort("settings", "serach")


def test_the_page_shows_the_settings_that_there_are() -> None:
    page = DOCS / "settings.md"
    if reference.as_markdown(reference.list_settings()) not in page.read_text():
        pytest.fail(f"write the output of `retort settings --markdown` into {page}")
