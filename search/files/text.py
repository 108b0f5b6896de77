"""Escaping of external text, so that it is safe on a terminal, in a log or on a page.

This file may import only the standard library: the agent is copied with it to machines without
other packages.
"""

import unicodedata

# Control (C0, C1), format (bidi overrides, invisible marks), lone surrogates, line separators.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners: Persian, Hindi and emoji need them, and they are harmless on a terminal.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""Return the text on one line, with control characters escaped: `\x1b`, `\n`, `\u202e`.

    A backslash is not escaped, so that paths and already escaped text can be copied.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """Escape the text as `visible` does, but keep its line breaks and tabs."""
    lines = ("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
    return "\n".join(lines)


def _visible_character(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")
