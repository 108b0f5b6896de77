"""What a page says where it has nothing to draw."""

import streamlit as st


def show_problem(title: str, detail: str) -> None:
    """An error in words. The detail may quote what others wrote, so it is shown as plain text."""
    st.error(title, icon=":material/error:")
    show_text(detail)


def show_text(text: str) -> None:
    """Text as it is: no Markdown, no HTML, wrapped."""
    st.code(text, language=None, wrap_lines=True)
