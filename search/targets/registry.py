"""The registry of runtimes: those of this package, and those of installed plugins."""

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import isabstract
from itertools import chain
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType

from search.targets.target import Runtime
from spaces.names import suggestion
from spaces.plugins import plugin_modules

DEFAULT_RUNTIME = "onnxruntime"
"""The runtime if none is named, as in stores and exported folders of earlier versions."""

OWN_RUNTIMES: Mapping[str, str] = MappingProxyType(
    {DEFAULT_RUNTIME: "search.targets.onnx_runtime:OnnxRuntime"}
)
"""The import path of each class, by the runtime's name. It is imported at its first use."""


@cache
def runtime(name: str) -> Runtime:
    """Return the runtime of that name.

    Raises:
        ValueError: there is no such runtime, and the message suggests similar names; or a plugin
            can't be loaded.
    """
    known_runtime(name)
    found: Runtime = resolve_name(OWN_RUNTIMES[name])() if name in OWN_RUNTIMES else _added()[name]
    return found


def known_runtime(name: str) -> str:
    """Return the name if it is the name of a runtime.

    Raises:
        ValueError: as for `runtime`.
    """
    if name not in OWN_RUNTIMES and name not in _added():
        known = runtime_names()
        hint = suggestion(name, known)
        raise ValueError(f"must be one of {', '.join(known)}, but got {name!r}{hint}")
    return name


def runtime_names() -> tuple[str, ...]:
    """Return the names of all runtimes: this package's, then those of plugins."""
    return *OWN_RUNTIMES, *_added()


def runtime_of_file(path: Path) -> Runtime:
    """Return the runtime that loads files with this suffix; the default one if none does."""
    return next((one for one in _all() if one.suffix == path.suffix), runtime(DEFAULT_RUNTIME))


def runtime_in(folder: Path) -> Runtime | None:
    """Return the runtime whose served file is in the folder; None if there is none."""
    return next((one for one in _all() if (folder / one.file).is_file()), None)


def _all() -> Iterator[Runtime]:
    """Yield all runtimes; plugins are loaded only after this package's runtimes."""
    yield from map(runtime, OWN_RUNTIMES)
    yield from _added().values()


@cache
def _added() -> Mapping[str, Runtime]:
    """Return the plugins' runtimes by name, sorted; classes of this package do not count."""
    values = chain.from_iterable(vars(module).values() for module in plugin_modules())
    found: dict[str, Runtime] = {}
    for one in filter(None, map(_as_runtime, values)):
        if one.name in OWN_RUNTIMES or type(found.get(one.name, one)) is not type(one):
            raise ValueError(
                f"names of runtimes must differ, but {type(one).__module__} uses {one.name!r}, "
                "which another runtime has: rename it"
            )
        found[one.name] = one
    return MappingProxyType(dict(sorted(found.items())))


def _as_runtime(value: object) -> Runtime | None:
    # Not `isclass`: in Python 3.10 it returns True for an alias such as Mapping[str, int].
    kind = value if isinstance(value, type) and issubclass(type(value), type) else type(value)
    is_foreign = kind.__module__.partition(".")[0] != "search"
    if not issubclass(kind, Runtime) or isabstract(kind) or not is_foreign:
        return None
    return value if isinstance(value, Runtime) else kind()
