"""Finds what installed plugins add to retort's tables: methods, metrics, limits, targets.

A plugin is a distribution with entry points in the groups `retort.methods`, `retort.metrics`,
`retort.limits` or `retort.targets`. Each names a module; the entries are the module's attributes.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TypeVar

_Entry = TypeVar("_Entry")


class PluginError(ValueError):
    """A plugin that is installed can't be used."""


@cache
def plugin_modules(table: str) -> tuple[ModuleType, ...]:
    """The modules that installed plugins name for a table, sorted by the entry points' names.

    Args:
        table: such as `metrics`.

    Raises:
        PluginError: one can't be imported, or is no module; names its distribution. A plugin that
            is left out in silence would change what a study means.
    """
    found = sorted(
        entry_points(group=f"retort.{table}"), key=lambda entry: (entry.name, entry.value)
    )
    return tuple(dict.fromkeys(map(_imported, found)))


def plugin_entries(table: str, kind: type[_Entry]) -> tuple[_Entry, ...]:
    """The instances of `kind` among the attributes of a table's plugin modules."""
    return tuple(
        value
        for module in plugin_modules(table)
        for value in vars(module).values()
        if isinstance(value, kind)
    )


def _imported(entry: EntryPoint) -> ModuleType:
    distribution = entry.dist.name if entry.dist else "an unknown distribution"
    try:
        module = entry.load()
    except Exception as error:
        raise PluginError(
            f"the plugin {entry.value} of {distribution} can't be imported: "
            f"{type(error).__name__}: {error}. Mend it, or uninstall {distribution}"
        ) from error
    if not isinstance(module, ModuleType):
        raise PluginError(
            f"an entry point of {entry.group} must name a module, but {entry.name} of "
            f"{distribution} names {entry.value}"
        )
    return module
