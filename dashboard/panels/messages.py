"""What a page says where it has nothing to draw."""

import re

import streamlit as st

from search.text import visible, visible_lines

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|$:~<>])")


def show_problem(title: str, detail: str) -> None:
    """An error in words. The detail may quote what others wrote, so it is shown as plain text."""
    st.error(title, icon=":material/error:")
    show_text(detail)


def as_plain(text: str) -> str:
    """The text as a label in which Streamlit finds no Markdown."""
    return _MARKS.sub(r"\\\1", visible(text))


def show_text(text: str) -> None:
    """Text as it is: no Markdown, no HTML, wrapped; control characters are written out."""
    st.code(visible_lines(text), language=None, wrap_lines=True)
