"""Which trials are marked: in every figure and table, on every page, and in the address."""

from collections.abc import Sequence

import streamlit as st

from dashboard.address import forget_refusals, heard, numbers_among, say
from dashboard.panels.page import PageContext

MOST_MARKED = 200
_MARKED = "marked"
_NAME = "trial"


def marked_trials(here: PageContext) -> list[int]:
    """The trials that the address, or a person on this or another page, has marked."""
    study, numbers = st.session_state.get(_MARKED, (None, []))
    count = here.place.pulse[0]
    kept = [number for number in numbers if number < count] if study == here.study else []
    if here.is_new:
        kept = heard(_NAME, kept, numbers_among(count, most=MOST_MARKED))
    mark(here.study, kept)
    say(_NAME, in_address(kept))
    return kept


def mark(study: str, numbers: Sequence[int]) -> None:
    """Marks these trials and no others; from a callback, before the page is drawn again."""
    st.session_state[_MARKED] = (study, list(numbers)[:MOST_MARKED])


def remark(study: str, numbers: Sequence[int]) -> None:
    """As `mark`, by a person: what was refused in the address is of no matter any more."""
    forget_refusals()
    mark(study, numbers)


def in_address(numbers: Sequence[int]) -> str:
    """How a link names these trials."""
    return ",".join(map(str, numbers))
