"""Discovery of plugins: modules that the entry points `retort.plugins` of packages name."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TypeVar

GROUP = "retort.plugins"

_Entry = TypeVar("_Entry")


class PluginError(ValueError):
    """An error in an installed plugin."""


_added: list[ModuleType] = []


def add(module: ModuleType) -> None:
    """Add a module that no entry point names; call it before any method is looked up."""
    if module not in _added:
        _added.append(module)
        plugin_modules.cache_clear()


@cache
def plugin_modules() -> tuple[ModuleType, ...]:
    """Return the modules that the entry points name, sorted by the entry points' names.

    Those that were added follow.

    Raises:
        PluginError: an entry point can't be imported, or is not a module. The message names its
            distribution.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    return tuple(dict.fromkeys([*map(_imported, found), *_added]))


def _imported(entry: EntryPoint) -> ModuleType:
    distribution = entry.dist.name if entry.dist else "an unknown distribution"
    try:
        module = entry.load()
    except Exception as error:
        raise PluginError(
            f"the plugin {entry.value} of {distribution} can't be imported: "
            f"{type(error).__name__}: {error}. Repair the plugin or uninstall {distribution}"
        ) from error
    if not isinstance(module, ModuleType):
        raise PluginError(
            f"an entry point of {GROUP} must name a module, but {entry.name} of {distribution} "
            f"names {entry.value}: correct the entry point or uninstall {distribution}"
        )
    return module


def plugin_entries(kind: type[_Entry]) -> tuple[_Entry, ...]:
    """Return the instances of `kind` among the attributes of the plugins' modules.

    The result includes instances that a plugin imports from this project. Callers skip them.
    """
    return tuple(
        value
        for module in plugin_modules()
        for name, value in vars(module).items()
        if isinstance(value, kind) and not name.startswith("_")
    )
