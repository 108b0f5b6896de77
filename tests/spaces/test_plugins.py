"""What an installed distribution adds is found; what can't be used is an error that names it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.objectives.budget import Budget
from search.objectives.limits import limits
from search.objectives.metrics import metrics
from spaces import registry
from spaces.axes.pruning import Pruning
from spaces.plugins import PluginError, plugin_modules
from tests.messages import naming
from tests.plugins import write_plugin

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

from spaces.axes.pruning import Pruning
from spaces.pruning.none import NoPruning


@dataclass(frozen=True)
class Trimmed(NoPruning):
    """Added by a plugin."""

    name: ClassVar[str] = "{name}"
'''

LIMIT = """
from search.objectives.limit import Limit

HEAT = Limit(
    name="heat", cost="heat_mw", label="heat", description="warmth", takes="milliwatts",
    parse=float, format="{:.0f} mW".format, count=None,
)
"""

METRIC = """
from search.objectives.metric import Metric

CALM = Metric(
    name="calm", label="calm", description="none", compute=lambda found, teacher: 1.0,
    standard_error=lambda found, teacher: 0.0, beside=("acuracy",),
)
"""

NewPlugin = Callable[..., None]


def _forget() -> None:
    plugin_modules.cache_clear()
    registry.methods.cache_clear()
    limits.cache_clear()
    metrics.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewPlugin]:
    """Puts distributions on the path, and takes them off when the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield lambda *given, **named: write_plugin(tmp_path, *given, **named)
    _forget()
    for module in ("trimmer", "broken"):
        sys.modules.pop(module, None)


def test_a_plugins_method_is_one_of_its_axis(install: NewPlugin) -> None:
    before = set(registry.methods("pruning"))
    _forget()
    install("trimmer", METHOD.format(name="trimmed"))
    # Neither the base that the plugin imports nor the method that it derives from comes twice.
    assert set(registry.methods("pruning")) == {*before, "trimmed"}
    assert "trimmed" not in registry.methods("quantization")
    assert issubclass(registry.method("pruning", "trimmed"), Pruning)


def test_a_plugins_method_that_bears_a_known_name_is_refused_with_both_places(
    install: NewPlugin,
) -> None:
    install("trimmer", METHOD.format(name="magnitude"))
    with pytest.raises(ValueError, match=r"spaces\.pruning\.magnitude.* trimmer .*'magnitude'"):
        registry.methods("pruning")


def test_a_plugin_that_does_not_import_is_an_error_that_names_its_distribution(
    install: NewPlugin,
) -> None:
    install("broken", "import a_library_that_is_not_there")
    with pytest.raises(PluginError, match=r"\bbroken\b.*a_library_that_is_not_there"):
        registry.methods("pruning")


def test_a_plugins_limit_that_nothing_can_measure_is_refused(install: NewPlugin) -> None:
    install("broken", LIMIT)
    with pytest.raises(PluginError, match=naming("heat", "count")):
        limits()


@pytest.mark.parametrize("name", ["recall", "metrics", "target"])
def test_a_plugins_limit_of_the_name_of_another_key_of_the_budget_is_refused(
    install: NewPlugin, name: str
) -> None:
    install("broken", LIMIT.replace('"heat"', f'"{name}"', 1))
    with pytest.raises(PluginError, match=naming(name)):
        limits()


def test_a_plugins_metric_can_have_a_floor(install: NewPlugin) -> None:
    install("broken", METRIC.replace("acuracy", "accuracy").replace("none", "calmness"))
    (floor,) = Budget.model_validate({"metrics": {"calm": 0.5}}).floors()
    assert (floor.name, floor.utility) == ("calm", 0.5)


def test_a_plugins_metric_beside_which_no_metric_can_stand_is_refused(install: NewPlugin) -> None:
    install("broken", METRIC)
    with pytest.raises(PluginError, match=naming("calm", "beside", "accuracy")):
        metrics()


def test_an_entry_point_that_names_no_module_is_refused(install: NewPlugin) -> None:
    install("broken", "number = 7", named="broken:number")
    with pytest.raises(PluginError, match="broken:number"):
        plugin_modules()
