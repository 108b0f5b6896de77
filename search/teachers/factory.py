"""A teacher made by a person's own code: from a file by its path, or an installed module."""

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
    """Return the network that the function makes.

    Args:
        factory: `file.py:function` or `package.module:function`.
        info: of the data; the function is given its classes, channels and size.
        allow_code: whether the factory's code may run.

    Raises:
        TeacherError: it may not, is not there, or gives no network.
    """
    if not allow_code:
        raise TeacherError(
            f"teacher.factory runs the code of {factory}: pass --allow-code if you trust it"
        )
    network = _function(factory)(
        classes=len(info.classes), channels=info.channels, image_size=info.image_size
    )
    if not isinstance(network, nn.Module):
        raise TeacherError(f"{factory} must return a torch module, but gave {type(network)}")
    return network


def factory_digest(factory: str | None) -> str:
    """Return the hexadecimal SHA-256 of the factory's file; empty where there is no file.

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
    """Return the file that a factory names; None for an installed module or without a factory."""
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
    """Load the file under a module name that no other module has, so that it replaces none."""
    # Its content is part of the name: a changed file is another module.
    named = hashlib.sha256(f"{path.absolute()}\0{file_digest(path)}".encode()).hexdigest()[:24]
    name = f"_retort_factory_{named}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its own classes look for it in sys.modules
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
