"""What installed plugins add to retort's tables: methods, metrics, limits, targets.

A plugin is a distribution with entry points in the groups `retort.methods`, `retort.metrics`,
`retort.limits` or `retort.targets`. Each names a module; the entries are the module's attributes.
"""

import importlib
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

_Entry = TypeVar("_Entry")


@cache
def plugin_modules(table: str) -> tuple[ModuleType, ...]:
    """The modules that installed plugins name for a table, such as `metrics`.

    Raises:
        ImportError: one can't be imported; names it and its distribution. A plugin that is left
            out in silence would change what a study means.
    """
    return tuple(
        _imported(point.value, point.dist.name if point.dist else "?")
        for point in sorted(entry_points(group=f"retort.{table}"), key=lambda point: point.name)
    )


def plugin_entries(table: str, kind: type[_Entry]) -> tuple[_Entry, ...]:
    """The instances of `kind` among the attributes of a table's plugin modules."""
    return tuple(
        value
        for module in plugin_modules(table)
        for value in vars(module).values()
        if isinstance(value, kind)
    )


def _imported(module: str, distribution: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ImportError(
            f"the plugin {module} of {distribution} can't be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
