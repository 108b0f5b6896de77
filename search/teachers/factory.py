"""Builds a teacher by the user's own function, from a file or an installed module."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from search.data.dataset import DataInfo
from search.errors import TeacherError, shortened
from search.files.atomic import file_digest
from spaces.names import suggestion

_FORM = "file.py:function or module:function"


def from_factory(factory: str, info: DataInfo, *, allow_code: bool) -> nn.Module:
    """Build the network by the factory function.

    The function is called with the keywords `classes` (the number of classes), `channels` (1 or 3)
    and `image_size` (the side of the images in pixels).

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
    keywords = {
        "classes": len(info.classes), "channels": info.channels, "image_size": info.image_size,
    }  # fmt: skip
    with own_code(factory, "build the teacher"), _siblings(factory_file(factory)):
        function = _function(factory)
        _check_keywords(function, factory, keywords)
        network = function(**keywords)
    if not isinstance(network, nn.Module):
        raise TeacherError(
            f"{factory} must return a torch module, but returned {type(network).__name__} "
            f"({_definition(function)})"
        )
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


@contextmanager
def own_code(factory: str | None, doing: str) -> Iterator[None]:
    """Turn any error of the person's code into one line that names its place.

    Args:
        factory: the factory whose code runs in the block; None: the code is not a person's.
        doing: what the code must do, for the message.
    """
    try:
        yield
    except TeacherError:
        raise
    except (Exception, SystemExit) as error:
        if factory is None:
            raise
        reason = shortened(error if isinstance(error, Exception) else RuntimeError(error))
        raise TeacherError(
            f"{factory} must {doing}, but raised {type(error).__name__} at "
            f"{_place(error, factory)}: {reason}"
        ) from error


def _function(factory: str) -> Callable[..., object]:
    module, colon, name = factory.rpartition(":")
    if not (module and colon and name):
        raise TeacherError(
            f"teacher.factory must be written as {_FORM}, but got {factory!r}: name the function "
            "after a colon"
        )
    source = _module(module, factory)
    function = getattr(source, name, None)
    if callable(function):
        found: Callable[..., object] = function
        return found
    own = [
        key
        for key, value in vars(source).items()
        if inspect.isfunction(value) and value.__module__ == source.__name__
    ]
    known = f"its functions are {', '.join(own)}" if own else "it defines no function"
    raise TeacherError(
        f"teacher.factory must name a function, as {_FORM}, but {source.__file__} has no function "
        f"{name!r} ({factory}): {suggestion(name, own).lstrip('; ') or known}"
    )


def _module(module: str, factory: str) -> ModuleType:
    path = factory_file(factory)
    if path is not None:
        if not path.is_file():
            raise TeacherError(
                f"teacher.factory must be {_FORM}, but {path} does not exist ({factory})"
            )
        return _loaded(path)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module was found, but imports another one that is missing
        beside = module.replace(".", "/") + ".py"
        raise TeacherError(
            f"teacher.factory must be {_FORM}, but {factory!r} was not found. Tried: {beside} "
            f"beside the study file, and an installed module {module!r} in this Python, "
            f"{sys.executable} ({error})"
        ) from error


def _check_keywords(
    function: Callable[..., object], factory: str, keywords: dict[str, int]
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a function of compiled code states none
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise TeacherError(
            f"{factory} must accept the keywords {', '.join(keywords)} and need no others, but is "
            f"defined as {getattr(function, '__name__', factory)}{signature} at "
            f"{_definition(function)}: {error}"
        ) from None


def _definition(function: Callable[..., object]) -> str:
    """Return the file and line of a function, or its name if they are unknown."""
    try:
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (TypeError, OSError):
        return repr(function)
    return f"{file}:{line}"


def _place(error: BaseException, factory: str) -> str:
    """Return file:line of the innermost frame in the person's own files, or else of any file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<")
    ]
    folder = _folder(factory)
    own = [frame for frame in frames if folder and Path(frame.filename).is_relative_to(folder)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _folder(factory: str) -> Path | None:
    """Return the folder of the person's files."""
    if path := factory_file(factory):
        return path.parent
    module = sys.modules.get(factory.rpartition(":")[0])
    file = getattr(module, "__file__", None)
    return Path(file).parent if file else None


@contextmanager
def _siblings(path: Path | None) -> Iterator[None]:
    """Let the factory's file import the files beside it.

    The folder comes last, so that its files stand in for no installed module.
    """
    folder = str(path.parent) if path else None
    if folder is None or folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


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
