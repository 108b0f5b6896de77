"""Names of classes whose images may have another class, or none, when they are mirrored."""

import re
from collections.abc import Sequence

_SIDES = frozenset(
    ("left", "right", "leftward", "rightward", "clockwise", "anticlockwise", "counterclockwise")
) | frozenset(("links", "rechts", "gauche", "droite", "izquierda", "derecha", "sinistra", "destra"))
_DIGITS = frozenset(
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
)
_CHARACTER_KINDS = frozenset(("digit", "letter", "number", "character", "char"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def chiral_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names that suggest signs, characters or sides, which must not be mirrored.

    These are names with a word for a side, single letters and digits, and all names if all are
    numbers: traffic signs and digits are often numbered.
    """
    if all(name.isdigit() for name in classes):
        return tuple(classes)
    return tuple(name for name in classes if _is_chiral(name))


def _is_chiral(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    is_character = len(name) == 1 and name.isalnum()
    names_character = len(words) == 2 and words[0] in _CHARACTER_KINDS
    is_digit = len(words) == 1 and words[0] in _DIGITS
    return is_character or names_character or is_digit or not _SIDES.isdisjoint(words)
