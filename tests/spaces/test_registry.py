import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import spaces.pruning
from spaces import registry
from spaces.axes.pruning import Pruning

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
    with pytest.raises(TypeError, match="does not support item assignment"):
        registry.methods("pruning")["mine"] = Pruning  # type: ignore[index]


def test_a_method_in_a_new_file_is_found(add_file: Callable[[str], None]) -> None:
    before = list(registry.methods("pruning"))
    registry.methods.cache_clear()
    add_file(METHOD.format(name="added"))
    assert list(registry.methods("pruning")) == sorted([*before, "added"])


def test_two_methods_of_one_name_are_refused_with_both_places(
    add_file: Callable[[str], None],
) -> None:
    add_file(METHOD.format(name="magnitude"))
    with pytest.raises(ValueError, match=r"pruning\.magnitude and .*zz_added are both 'magnitude'"):
        registry.methods("pruning")


def test_a_file_whose_imports_fail_is_an_error(add_file: Callable[[str], None]) -> None:
    add_file("import a_library_that_is_not_there")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        registry.methods("pruning")


def test_an_unknown_name_is_refused_with_one_that_comes_near() -> None:
    with pytest.raises(ValueError, match=r"pruning must be one of .*; did you mean 'magnitude'\?"):
        registry.method("pruning", "magnitud")


def test_a_name_that_is_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match=r"but got 'xyz'$"):
        registry.method("pruning", "xyz")


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"axis must be one of .*'pruning'.* but got 'prunning'"):
        registry.methods("prunning")
