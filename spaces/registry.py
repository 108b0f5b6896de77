"""Registry of the methods in the axis folders and in plugins."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from itertools import chain
from types import MappingProxyType, ModuleType

from spaces.axes.order import AXES
from spaces.method import Method
from spaces.names import expected
from spaces.plugins import plugin_modules

_FOLDERS = {
    "student": "spaces.students",
    "training": "spaces.training",
    "distillation": "spaces.distillation",
    "pruning": "spaces.pruning",
    "quantization": "spaces.quantization",
}


@cache
def methods(axis: str) -> Mapping[str, type[Method]]:
    """Return the methods of an axis, by name and sorted by name.

    Raises:
        ValueError: there is no such axis, two methods share a name, or a plugin does not load.
    """
    if axis not in _FOLDERS:
        raise ValueError(f"axis must be one of {sorted(_FOLDERS)}, but got {axis!r}")
    package = importlib.import_module(_FOLDERS[axis])
    base = next(base for base in AXES if base.axis == axis)
    entries = sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name)
    modules = [importlib.import_module(f"{package.__name__}.{entry.name}") for entry in entries]
    own = chain.from_iterable(_methods_in(module, base) for module in modules)
    found: dict[str, type[Method]] = {}
    for one in [*own, *_plugin_methods(base)]:
        if one.name in found:
            both = f"{found[one.name].__module__} and {one.__module__}"
            raise ValueError(
                f"method names must differ, but the methods of {both} have the same name "
                f"{one.name!r}: rename one of them"
            )
        found[one.name] = one
    return MappingProxyType(dict(sorted(found.items())))


def method(axis: str, name: str) -> type[Method]:
    """Return the method with this name.

    Raises:
        ValueError: there is no such method; the message suggests a similar name.
    """
    known = methods(axis)
    if name not in known:
        raise ValueError(expected(axis, name, known))
    return known[name]


def _methods_in(module: ModuleType, base: type[Method]) -> list[type[Method]]:
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]


def _plugin_methods(base: type[Method]) -> list[type[Method]]:
    """Return the methods that plugins define, without those that they import from `spaces`."""
    values = chain.from_iterable(vars(module).values() for module in plugin_modules())
    added = [
        value
        for value in values
        if inspect.isclass(value)
        and issubclass(value, base)
        and not inspect.isabstract(value)
        and value.__module__.partition(".")[0] != "spaces"
    ]
    return list(dict.fromkeys(added))
