"""Control characters are shown as what they are, and do nothing."""

import pytest

from search.files.text import visible, visible_lines


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("Ünï, 学生, C:\\data", "Ünï, 学生, C:\\data"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\nc\td\0", "a\\rb\\nc\\td\\x00"),
        ("gpj\u202e.exe", "gpj\\u202e.exe"),
        ("a\u2066b\u2028c\ufeff", "a\\u2066b\\u2028c\\ufeff"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("\udcff.png", "\\udcff.png"),
        ("a\u200cb\u200dc", "a\u200cb\u200dc"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_fault_35_control_characters_are_escaped(given: str, shown: str) -> None:
    assert visible(given) == shown
    assert visible(given).encode()


def test_fault_35_lines_and_tabs_are_kept_where_lines_are_shown() -> None:
    assert visible_lines("a\n\tb\x1b[1m\r\n") == "a\n\tb\\x1b[1m\\r\n"
