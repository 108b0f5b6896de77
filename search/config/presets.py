"""The ready-made studies that come with retort, as the text of study files."""

from importlib.resources import files
from itertools import takewhile

from search.errors import BadInput
from spaces.names import expected

_SUFFIX = ".yaml"


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    names = (entry.name for entry in files("spaces.presets").iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def preset_text(name: str) -> str:
    """Return the study file of that name, commented.

    Raises:
        BadInput: there is no such preset; the message names those that exist.
    """
    known = preset_names()
    if name not in known:
        raise BadInput(expected("a preset", name, known))
    return (files("spaces.presets") / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """Return the preset's purpose: the first paragraph of its comments."""
    lines = preset_text(name).splitlines()
    first = takewhile(lambda line: line.startswith("# "), lines)
    return " ".join(line.removeprefix("# ") for line in first)
