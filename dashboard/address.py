"""What is looked at, bound to the page's address, so that a copied link shows it again.

Any text may stand in an address: it is taken only where it is one of a widget's values, and what
is refused is said. Streamlit's own binding does not do: it leaves defaults out, though another
study may be the default tomorrow, and it crashes on numbers beyond a float's range.
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
    """Notes the page that is shown; whether it was not shown before, so that its address counts."""
    is_new = st.session_state.get(_VISITED) != page
    if is_new:
        st.session_state[_VISITED] = page
        st.session_state[_REFUSED] = {}
        for key in [key for key in st.session_state if str(key).startswith(f"{page}.")]:
            del st.session_state[key]
    return is_new


def bind(page: str, name: str, default: _Value, read: Callable[[str], _Value]) -> str:
    """The key of a widget whose first value is what the address says of `name`.

    Args:
        page: as `arrive` was told.
        name: in the address.
        default: where the address says nothing, or what `read` refuses.
        read: makes a value of the text; raises ValueError where it is none of the widget's.
    """
    key = f"{page}.{name}"
    if key not in st.session_state:
        st.session_state[key] = heard(name, default, read)
    return key


def heard(name: str, default: _Value, read: Callable[[str], _Value]) -> _Value:
    """What the address says of `name`; a refusal is kept for `show_refused`."""
    said = st.query_params.get(name)
    if said is None:
        return default
    try:
        return read(said)
    except ValueError:
        st.session_state[_REFUSED][name] = said
        return default


def say(name: str, text: str) -> None:
    """Has the address say it; an empty text says nothing."""
    if text:
        if st.query_params.get(name) != text:
            st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]


def show_refused() -> None:
    """Says what in the address was not understood, until the page is left."""
    refused: dict[str, str] = st.session_state.get(_REFUSED, {})
    for name, said in refused.items():
        st.warning(_refusal(name), icon=":material/link_off:")
        show_text(said[:_LONGEST_SHOWN] + "…" * (len(said) > _LONGEST_SHOWN))


def forget_refusals() -> None:
    """Says no more of what was refused, as when a person has chosen something else."""
    st.session_state[_REFUSED] = {}


def _refusal(name: str) -> str:
    if name == "study":
        return "This store holds no study of the name in the address. Another is shown."
    return f"The address asks for a {name} that is not to be had here, so it is left out."


def one_of(options: Collection[str]) -> Callable[[str], str]:
    """Reads one of the options."""

    def read(text: str) -> str:
        if text not in options:
            raise ValueError("none of the options")
        return text

    return read


def some_of(options: Collection[str]) -> Callable[[str], list[str]]:
    """Reads several of the options, with commas between."""

    def read(text: str) -> list[str]:
        found = text.split(",")
        if not set(found) <= set(options):
            raise ValueError("not all among the options")
        return list(dict.fromkeys(found))

    return read


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Reads a number of the range."""

    def read(text: str) -> float:
        number = float(text[:40])
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError("out of range")
        return number

    return read


def numbers_among(count: int, *, most: int) -> Callable[[str], list[int]]:
    """Reads up to `most` whole numbers from 0 to below `count`, with commas between."""

    def read(text: str) -> list[int]:
        parts = text.split(",", most)[:most]
        # int() takes spaces, underscores and other scripts' digits, which no link of ours has.
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise ValueError("not all whole numbers")
        found = [int(part) for part in parts]
        if any(number >= count for number in found):
            raise ValueError("not all among the trials")
        return list(dict.fromkeys(found))

    return read
