"""Text from outside, as it may be shown: on a terminal, in a log, on a page.

Only the standard library is imported: the agent carries this file to machines without ours.
"""

import unicodedata

# Control (C0, C1), format (bidi overrides, invisible marks), lone surrogates, line separators.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners, which Persian, Hindi and emoji are written with; they move nothing on a terminal.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""The text on one line, its control characters as Python writes them: `\x1b`, `\n`, `\u202e`.

    A backslash stays as it is, so that paths and visible text can be copied.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """The text with its lines and tabs kept, and else as `visible`."""
    lines = ("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
    return "\n".join(lines)


def _visible_character(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")
