import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import spaces.pruning
from spaces import registry
from spaces.axes.order import AXES
from spaces.axes.pruning import Pruning
from tests.messages import naming

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

from spaces.pruning.none import NoPruning


@dataclass(frozen=True)
class Added(NoPruning):
    """Added by a test."""

    name: ClassVar[str] = "{name}"
'''


@pytest.fixture
def add_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts one more file into the folder of prunings, and takes it out when the test ends."""
    folders = [*spaces.pruning.__path__, str(tmp_path)]
    monkeypatch.setattr(spaces.pruning, "__path__", folders)
    registry.methods.cache_clear()
    importlib.invalidate_caches()
    yield lambda text: (tmp_path / "zz_added.py").write_text(text) and None
    registry.methods.cache_clear()
    sys.modules.pop("spaces.pruning.zz_added", None)
    vars(spaces.pruning).pop("zz_added", None)


def test_methods_are_sorted_by_name() -> None:
    assert list(registry.methods("pruning")) == sorted(registry.methods("pruning"))


def test_methods_are_those_of_their_axis() -> None:
    assert all(issubclass(method, Pruning) for method in registry.methods("pruning").values())


def test_the_list_of_methods_cannot_be_changed() -> None:
    methods = registry.methods("pruning")
    with pytest.raises(TypeError):
        methods["mine"] = Pruning  # type: ignore[index]


def test_a_method_in_a_new_file_is_found(add_file: Callable[[str], None]) -> None:
    before = list(registry.methods("pruning"))
    registry.methods.cache_clear()
    add_file(METHOD.format(name="added"))
    assert list(registry.methods("pruning")) == sorted([*before, "added"])


def test_two_methods_of_one_name_are_refused_with_both_places(
    add_file: Callable[[str], None],
) -> None:
    add_file(METHOD.format(name="magnitude"))
    places = ("spaces.pruning.magnitude", "spaces.pruning.zz_added")
    with pytest.raises(ValueError, match=naming(*places, "'magnitude'")):
        registry.methods("pruning")


def test_a_file_whose_imports_fail_is_an_error(add_file: Callable[[str], None]) -> None:
    add_file("import a_library_that_is_not_there")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        registry.methods("pruning")


def test_an_unknown_name_is_refused_with_one_that_comes_near() -> None:
    with pytest.raises(ValueError, match=naming("pruning", "'magnitud'", "'magnitude'")):
        registry.method("pruning", "magnitud")


def test_a_name_that_is_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match="'xyz'") as raised:
        registry.method("pruning", "xyz")
    guesses = [name for name in registry.methods("pruning") if f"'{name}'" in str(raised.value)]
    assert guesses == []


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=naming(*(axis.axis for axis in AXES), "prunning")):
        registry.methods("prunning")
