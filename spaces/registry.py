"""Finds the methods in the axis folders; one that does not load is an error."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, ModuleType

from spaces.axes.order import AXES
from spaces.method import Method

_FOLDERS = {
    "student": "spaces.students",
    "training": "spaces.training",
    "distillation": "spaces.distillation",
    "pruning": "spaces.pruning",
    "quantization": "spaces.quantization",
}


@cache
def methods(axis: str) -> Mapping[str, type[Method]]:
    """The axis' methods by public name, sorted by name.

    Raises:
        ValueError: there is no such axis, or two methods bear one name.
    """
    if axis not in _FOLDERS:
        raise ValueError(f"axis must be one of {sorted(_FOLDERS)}, but got {axis!r}")
    package = importlib.import_module(_FOLDERS[axis])
    base = next(base for base in AXES if base.axis == axis)
    found: dict[str, type[Method]] = {}
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        for method in _methods_in(
            importlib.import_module(f"{package.__name__}.{entry.name}"), base
        ):
            if method.name in found:
                both = f"{found[method.name].__module__} and {method.__module__}"
                raise ValueError(f"method names must differ, but {both} are both {method.name!r}")
            found[method.name] = method
    return MappingProxyType(dict(sorted(found.items())))


def method(axis: str, name: str) -> type[Method]:
    """The method of that name.

    Raises:
        ValueError: there is none; says what comes near.
    """
    known = methods(axis)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{axis} must be one of {', '.join(known)}, but got {name!r}{hint}")
    return known[name]


def _methods_in(module: ModuleType, base: type[Method]) -> list[type[Method]]:
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]
