"""Builds a teacher by the user's own function, from a file or an installed module."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from torch import nn

from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.files.atomic import file_digest


def from_factory(factory: str, info: DataInfo, *, allow_code: bool) -> nn.Module:
    """Build the network by the factory function.

    Args:
        factory: `file.py:function` or `package.module:function`.
        info: the description of the data; the function receives its classes, channels and size.
        allow_code: whether the factory's code may run.

    Raises:
        TeacherError: the code may not run, the function is missing, or it returns no network.
    """
    if not allow_code:
        raise TeacherError(
            f"teacher.factory would run the code of {factory}: pass --allow-code if you trust it"
        )
    network = _function(factory)(
        classes=len(info.classes), channels=info.channels, image_size=info.image_size
    )
    if not isinstance(network, nn.Module):
        raise TeacherError(f"{factory} must return a torch module, but returned {type(network)}")
    return network


def factory_digest(factory: str | None) -> str:
    """Return the hexadecimal SHA-256 of the factory's file; empty if the factory is not a file.

    Raises:
        TeacherError: the file can't be read.
    """
    path = factory_file(factory)
    if path is None:
        return ""
    try:
        return file_digest(path)
    except OSError as error:
        raise TeacherError(
            f"teacher.factory must be a file that every machine of the search can read, but {path} "
            f"is not: {error.strerror}"
        ) from error


def factory_file(factory: str | None) -> Path | None:
    """Return the file of a factory; None for an installed module, or without a factory."""
    module = (factory or "").rpartition(":")[0]
    return Path(module) if module.endswith(".py") else None


def _function(factory: str) -> Callable[..., object]:
    module, _, name = factory.rpartition(":")
    path = factory_file(factory)
    try:
        source = importlib.import_module(module) if path is None else _loaded(path)
        function: Callable[..., object] = getattr(source, name)
    except (ImportError, AttributeError, ValueError, SyntaxError, OSError) as error:
        raise TeacherError(
            "teacher.factory must be file.py:function or an installed package.module:function, "
            f"but got {factory!r}: {error}"
        ) from error
    return function


def _loaded(path: Path) -> ModuleType:
    """Import the file under a unique module name, so that it replaces no other module."""
    # The name depends on the file's content, so that a changed file is imported again.
    named = hashlib.sha256(f"{path.absolute()}\0{file_digest(path)}".encode()).hexdigest()[:24]
    name = f"_retort_factory_{named}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the module's own classes look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
