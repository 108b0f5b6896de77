"""What `retort methods` and `retort settings` say, and the pages that are made of them."""

import json
from pathlib import Path

import pytest

from search.config import reference
from search.errors import BadInput
from search.objectives.limits import limits
from search.objectives.metrics import metrics
from spaces import registry
from spaces.axes.order import AXES
from spaces.listing import as_markdown, list_methods
from tests.messages import naming
from tests.search.cli.conftest import Retort

DOCS = Path(__file__).parents[3] / "docs"


def test_every_method_of_every_axis_is_listed() -> None:
    listed = [(method.axis, method.name) for method in list_methods()]
    assert listed == [(axis.axis, name) for axis in AXES for name in registry.methods(axis.axis)]


def test_a_method_is_told_with_its_parameters_its_paper_and_what_it_shrinks() -> None:
    told = {method.name: method.to_json() for method in list_methods("quantization")}["int8_static"]
    assert told["papers"][0] == "arXiv:1712.05877"
    assert naming("bytes", "latency").search(told["shrinks"])
    (calibration,) = [each for each in told["parameters"] if each["name"] == "calibration"]
    assert naming("min_max", "entropy", "percentile").search(calibration["distribution"])
    assert calibration["default"] == "min_max"


def test_scripts_get_json_of_one_axis(retort: Retort) -> None:
    done = retort("methods", "distillation", "--json")
    found = json.loads(done.stdout)
    assert {method["axis"] for method in found} == {"distillation"}
    assert {method["name"]: method["needs"] for method in found}["soft_targets"] == "logits"


def test_people_get_a_line_for_each_parameter(retort: Retort) -> None:
    done = retort("methods", "training")
    assert "training.standard" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "learning_rate" in line]
    assert naming("1e-05", 1, "log", "auto").search(line)


def test_an_axis_that_is_not_there_is_refused(retort: Retort) -> None:
    with pytest.raises(BadInput, match=naming("'prunning'", *(axis.axis for axis in AXES))):
        retort("methods", "prunning")


def test_the_page_shows_the_methods_that_there_are() -> None:
    page = DOCS / "methods.md"
    if as_markdown(list_methods()) not in page.read_text():
        pytest.fail(f"write the output of `retort methods --markdown` into {page}")


def test_every_metric_is_listed_with_its_direction_and_origin(retort: Retort) -> None:
    found = {one["name"]: one for one in json.loads(retort("metrics", "--json").stdout)}
    assert found.keys() == metrics().keys()
    assert found["accuracy"]["direction"] == "more is better"
    assert (found["accuracy"]["worst"], found["accuracy"]["best"]) == (0.0, 1.0)
    assert {one["origin"] for one in found.values()} == {"retort"}


def test_every_limit_is_listed_with_what_it_takes_and_who_tells_it(retort: Retort) -> None:
    found = {one["name"]: one for one in json.loads(retort("limits", "--json").stdout)}
    assert found.keys() == limits().keys()
    assert found["size"]["takes"] == "bytes, such as 2MB"
    assert found["size"]["stored_as"] == "size_bytes"
    assert {name for name, one in found.items() if "timed" in one["measured"]} == {"latency"}


@pytest.mark.parametrize("command", ["metrics", "limits"])
def test_people_get_the_description_of_each(retort: Retort, command: str) -> None:
    shown = retort(command).stdout
    for one in json.loads(retort(command, "--json").stdout):
        assert f"{one['name']}  {one['description']}" in shown


def test_every_setting_has_a_meaning_and_some_must_be_given() -> None:
    told = {setting.key: setting for setting in reference.list_settings()}
    assert [key for key, setting in told.items() if not setting.meaning] == []
    required = [key for key, setting in told.items() if setting.default is None]
    assert required == ["study", "data", "data.source", "teacher", "space"]


@pytest.mark.parametrize(
    ("key", "takes", "default"),
    [
        ("budget.size", ["bytes", "2MB"], "null"),
        ("budget.target.device", ["cpu", "cuda"], "cpu"),
        ("data.in_memory", ["bytes", "2MB"], "2.00 GB"),
        ("data.image_size", [8, 1024], "32"),
        ("data.test_share", [0, 1], "0.15"),
        ("data.path", ["path"], "null"),
        ("search.stopping", ["true", "false"], "true"),
        ("search.max_time", ["2h"], "null"),
        ("search.warm_start", ["list"], "[]"),
        ("teacher", ["list"], None),
        ("teacher.train.epochs", [1], "null"),
        ("teacher.std", ["list", 0], "null"),
    ],
)
def test_a_setting_is_told_with_what_it_takes(
    key: str, takes: list[object], default: str | None
) -> None:
    told = {setting.key: setting for setting in reference.list_settings()}[key]
    assert naming(*takes).search(told.takes)
    assert told.default == default


def test_scripts_get_json_of_one_part_of_a_study(retort: Retort) -> None:
    found = json.loads(retort("settings", "budget", "--json").stdout)
    assert [setting["key"] for setting in found][:3] == ["budget", "budget.size", "budget.latency"]


def test_people_get_the_settings_with_their_defaults(retort: Retort) -> None:
    done = retort("settings", "search")
    _, _, after = done.stdout.partition("search.trials")
    assert naming(1, 30).search(after.split("\nsearch.")[0])


def test_a_part_that_is_not_there_is_refused(retort: Retort) -> None:
    with pytest.raises(BadInput, match=naming("'serach'", "study", "data", "search")):
        retort("settings", "serach")


def test_the_page_shows_the_settings_that_there_are() -> None:
    page = DOCS / "settings.md"
    if reference.as_markdown(reference.list_settings()) not in page.read_text():
        pytest.fail(f"write the output of `retort settings --markdown` into {page}")
