"""The table of runtimes, with what plugins add to it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.targets import registry
from search.targets.onnx_runtime import OnnxRuntime
from spaces.plugins import PluginError, plugin_modules
from tests.plugins import write_plugin

RUNTIME = '''
from search.targets.onnx_runtime import OnnxRuntime
from search.targets.target import Runtime


class Renamed(OnnxRuntime):
    """Added by a plugin."""

    name = "{name}"
    file = "model.renamed"
'''

NewPlugin = Callable[[str, str], None]


def _forget() -> None:
    plugin_modules.cache_clear()
    registry.runtime.cache_clear()
    registry._added.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewPlugin]:
    """Puts distributions on the path, and takes them off when the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield lambda module, source: write_plugin(tmp_path, module, source)
    _forget()
    for module in ("one", "two"):
        sys.modules.pop(module, None)


def test_what_a_plugin_derives_is_added_and_what_it_imports_is_not(install: NewPlugin) -> None:
    before = registry.runtime_names()
    _forget()
    install("one", RUNTIME.format(name="renamed"))
    assert set(registry.runtime_names()) == {*before, "renamed"}
    assert registry.runtime("renamed").file == "model.renamed"


def test_a_runtime_that_a_plugin_made_is_added_as_it_is(install: NewPlugin) -> None:
    install("one", RUNTIME.format(name="renamed") + "\nRENAMED = Renamed()\n")
    module = plugin_modules()[0]
    assert registry.runtime("renamed").describe() == module.RENAMED.describe()


def test_a_name_that_is_near_to_one_is_refused_with_that() -> None:
    with pytest.raises(ValueError, match=r"'onnxruntim'.*'onnxruntime'"):
        registry.runtime("onnxruntim")


@pytest.mark.parametrize("taken", ["onnxruntime", "renamed"])
def test_a_plugins_runtime_that_bears_a_known_name_is_refused(
    install: NewPlugin, taken: str
) -> None:
    install("one", RUNTIME.format(name="renamed"))
    install("two", RUNTIME.format(name=taken))
    with pytest.raises(ValueError, match=rf"two .*{taken!r}"):
        registry.runtime_names()


def test_a_plugin_that_does_not_import_stands_in_nobodys_way_but_its_own(
    install: NewPlugin,
) -> None:
    install("one", "import a_library_that_is_not_there")
    assert registry.known_runtime("onnxruntime") == "onnxruntime"
    with pytest.raises(PluginError, match="one"):
        registry.known_runtime("renamed")


def test_a_file_is_loaded_by_what_its_name_ends_in_and_else_by_the_default(
    install: NewPlugin,
) -> None:
    install("one", RUNTIME.format(name="renamed"))
    assert registry.runtime_of_file(Path("mine.onnx")).name == "onnxruntime"
    assert registry.runtime_of_file(Path("mine.renamed")).name == "renamed"
    assert registry.runtime_of_file(Path("mine.ort")).name == "onnxruntime"


def test_a_folder_is_served_by_the_runtime_whose_file_it_holds(tmp_path: Path) -> None:
    assert registry.runtime_in(tmp_path) is None
    (tmp_path / OnnxRuntime.file).touch()
    assert isinstance(registry.runtime_in(tmp_path), OnnxRuntime)
