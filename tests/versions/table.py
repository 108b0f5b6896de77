"""The table of fingerprints: a few numbers of what each method and stage of a version computes."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name

from search.versions import FILE_LIBRARIES
from spaces import registry
from spaces.axes.order import AXES
from spaces.method import Method
from tests.versions.methods import fingerprint
from tests.versions.problem import Numbers
from tests.versions.student_stages import STAGES as STUDENT_STAGES
from tests.versions.training_stages import STAGES as TRAINING_STAGES

TABLE = Path(__file__).with_name("fingerprints.json")
COMMAND = "python -m tests.versions --write"
STAGES = {**TRAINING_STAGES, **STUDENT_STAGES}

# Processors round otherwise from one another, relative to the largest number of a list.
_TOLERANCE = 3e-3


@dataclass(frozen=True)
class Fingerprint:
    """What a method or a stage of that version computes; whole numbers are exact."""

    version: int
    numbers: Numbers


Table = dict[str, Fingerprint]


def subjects() -> dict[str, Callable[[], Fingerprint]]:
    """What computes the fingerprint of each method (`axis.name`) and stage (its constant)."""
    methods = {
        f"{axis.axis}.{name}": partial(_of_method, method)
        for axis in AXES
        for name, method in registry.methods(axis.axis).items()
    }
    return {**methods, **{constant: partial(_of_stage, constant) for constant in STAGES}}


def read(path: Path = TABLE) -> tuple[Table, dict[str, str]]:
    """The table, and the versions of the libraries that it was computed by."""
    document = json.loads(path.read_text())
    return {name: Fingerprint(**one) for name, one in document["fingerprints"].items()}, document[
        "libraries"
    ]


def installed() -> dict[str, str]:
    """The libraries that decide what is computed, by version."""
    return {library: version(library) for library in FILE_LIBRARIES}


def changes(known: Numbers, found: Numbers) -> list[str]:
    """The names of the lists that are not the same."""
    return [
        name
        for name in sorted(known.keys() | found.keys())
        if not _same(known.get(name, []), found.get(name, []))
    ]


def unbumped(known: Table, found: Table) -> list[str]:
    """What computes something else than it did, though its version is the same."""
    return [
        name
        for name, one in found.items()
        if name in known
        and known[name].version == one.version
        and changes(known[name].numbers, one.numbers)
    ]


def write(found: Table, path: Path = TABLE) -> None:
    """Puts the fingerprints in the table's place, one list of numbers a line."""
    rounded = {
        name: {
            "version": one.version,
            "numbers": {
                key: [_rounded(number) for number in one.numbers[key]] for key in one.numbers
            },
        }
        for name, one in sorted(found.items())
    }
    text = json.dumps({"libraries": installed(), "fingerprints": rounded}, indent=1)
    path.write_text(_with_short_lists(text) + "\n")


def _of_method(method: type[Method]) -> Fingerprint:
    return Fingerprint(method.version, fingerprint(method))


def _of_stage(constant: str) -> Fingerprint:
    module, _, name = constant.rpartition(".")
    with tempfile.TemporaryDirectory() as folder:
        numbers = STAGES[constant](Path(folder))
    return Fingerprint(getattr(resolve_name(module), name), numbers)


def _same(known: list[float], found: list[float]) -> bool:
    if len(known) != len(found):
        return False
    room = _TOLERANCE * max(map(abs, known), default=0.0)
    return all(
        one == other if isinstance(one, int) else abs(one - other) <= room
        for one, other in zip(known, found, strict=True)
    )


def _rounded(number: float) -> float:
    return number if isinstance(number, int) else float(f"{number:.6g}")


def _with_short_lists(text: str) -> str:
    """The JSON text with each list of numbers in one line."""
    head, *rest = text.split("[")
    parts = (part.partition("]") for part in rest)
    return head + "".join(f"[{' '.join(inner.split())}]{after}" for inner, _, after in parts)
