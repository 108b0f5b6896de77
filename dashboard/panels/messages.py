"""Messages and plain text on a page."""

import re

import streamlit as st

from search.files.text import visible, visible_lines

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|$:~<>])")


def show_problem(title: str, detail: str) -> None:
    """Show an error. The detail may quote text that others wrote, so it is shown as plain text."""
    st.error(title, icon=":material/error:")
    show_text(detail)


def as_plain(text: str) -> str:
    """Return the text as a label, with all Markdown escaped."""
    return _MARKS.sub(r"\\\1", visible(text))


def show_text(text: str) -> None:
    """Show the text without Markdown or HTML, wrapped; control characters are written out."""
    st.code(visible_lines(text), language=None, wrap_lines=True)
