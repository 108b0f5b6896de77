"""Text from outside, made safe to show on a terminal, in a log or on a page.

Only the standard library is imported: the agent carries this file to machines without ours.
"""

import unicodedata

# Control (C0, C1), format (bidi overrides, invisible marks), lone surrogates, line separators.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners, which Persian, Hindi and emoji are written with; they move nothing on a terminal.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""Return the text on one line, with control characters escaped: `\x1b`, `\n`, `\u202e`.

    A backslash stays as it is, so that paths and visible text can be copied.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """Return the text with its lines and tabs, and otherwise as `visible` does."""
    lines = ("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
    return "\n".join(lines)


def _visible_character(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")
