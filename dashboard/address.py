"""Binding of a page's widgets to its address, so that a copied link shows the same page.

An address may hold any text. A widget takes a value only if it allows the value; the page reports
a refused value. Streamlit's own binding is not enough: it omits defaults, although the
default study may be another one tomorrow, and it crashes on numbers beyond a float's range.
"""

import math
from collections.abc import Callable, Collection
from typing import TypeVar

import streamlit as st

from dashboard.panels.messages import show_text

_Value = TypeVar("_Value")

_VISITED = "address.page"
_REFUSED = "address.refused"
_LONGEST_SHOWN = 80


def arrive(page: str) -> bool:
    """Record which page is shown. Return whether it is new; then its address must be read."""
    is_new = st.session_state.get(_VISITED) != page
    if is_new:
        st.session_state[_VISITED] = page
        st.session_state[_REFUSED] = {}
        for key in [key for key in st.session_state if str(key).startswith(f"{page}.")]:
            del st.session_state[key]
    return is_new


def bind(page: str, name: str, default: _Value, read: Callable[[str], _Value]) -> str:
    """Return the key of a widget whose first value is the one that the address gives for `name`.

    Args:
        page: the page passed to `arrive`.
        name: the parameter's name in the address.
        default: the value if the address gives none, or if `read` refuses it.
        read: converts the text to a value; raises ValueError if the widget does not allow it.
    """
    key = f"{page}.{name}"
    if key not in st.session_state:
        st.session_state[key] = heard(name, default, read)
    return key


def heard(name: str, default: _Value, read: Callable[[str], _Value]) -> _Value:
    """Return the address's value for `name`. Keep a refused value for `show_refused`."""
    text = st.query_params.get(name)
    if text is None:
        return default
    try:
        return read(text)
    except ValueError:
        st.session_state[_REFUSED][name] = text
        return default


def say(name: str, text: str) -> None:
    """Write the text into the address; an empty text removes the parameter."""
    if text:
        if st.query_params.get(name) != text:
            st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]


def show_refused() -> None:
    """Show which values in the address were refused, until the person leaves the page."""
    refused: dict[str, str] = st.session_state.get(_REFUSED, {})
    for name, text in refused.items():
        st.warning(_refusal(name), icon=":material/link_off:")
        show_text(text[:_LONGEST_SHOWN] + "…" * (len(text) > _LONGEST_SHOWN))


def forget_refusals() -> None:
    """Stop showing refused values, for example after a person has chosen another value."""
    st.session_state[_REFUSED] = {}


def _refusal(name: str) -> str:
    if name == "study":
        return "This store holds no study of the name in the address. The page shows another study."
    return f"The value of {name} in the address is not valid here. The page ignores it."


def one_of(options: Collection[str]) -> Callable[[str], str]:
    """Return a reader that accepts one of the options."""

    def read(text: str) -> str:
        if text not in options:
            raise ValueError("none of the options")
        return text

    return read


def some_of(options: Collection[str]) -> Callable[[str], list[str]]:
    """Return a reader that accepts several of the options, separated by commas."""

    def read(text: str) -> list[str]:
        found = text.split(",")
        if not set(found) <= set(options):
            raise ValueError("not all among the options")
        return list(dict.fromkeys(found))

    return read


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Return a reader that accepts a number in the range."""

    def read(text: str) -> float:
        number = float(text[:40])
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError("out of range")
        return number

    return read


def numbers_among(count: int, *, most: int) -> Callable[[str], list[int]]:
    """Return a reader of up to `most` integers from 0 to below `count`, separated by commas."""

    def read(text: str) -> list[int]:
        parts = text.split(",", most)[:most]
        # int() accepts spaces, underscores and digits of other scripts, which our links never hold.
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise ValueError("not all whole numbers")
        found = [int(part) for part in parts]
        if any(number >= count for number in found):
            raise ValueError("not all among the trials")
        return list(dict.fromkeys(found))

    return read
