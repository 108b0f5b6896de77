"""What a page says where it has nothing to draw."""

import re

import streamlit as st

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|$:~<>])")


def show_problem(title: str, detail: str) -> None:
    """An error in words. The detail may quote what others wrote, so it is shown as plain text."""
    st.error(title, icon=":material/error:")
    show_text(detail)


def as_plain(text: str) -> str:
    """The text as a label in which Streamlit finds no Markdown."""
    return _MARKS.sub(r"\\\1", text)


def show_text(text: str) -> None:
    """Text as it is: no Markdown, no HTML, wrapped."""
    st.code(text, language=None, wrap_lines=True)
