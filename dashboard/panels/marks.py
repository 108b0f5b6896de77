"""Marked trials. They are the same in all figures and tables, on all pages and in the address."""

from collections.abc import Sequence

import streamlit as st

from dashboard.address import forget_refusals, heard, numbers_among, say
from dashboard.panels.page import PageContext

MOST_MARKED = 200
_MARKED = "marked"
_NAME = "trial"


def marked_trials(here: PageContext) -> list[int]:
    """Return the trials that the address or a person, on any page, has marked."""
    study, numbers = st.session_state.get(_MARKED, (None, []))
    count = here.place.pulse[0]
    kept = [number for number in numbers if number < count] if study == here.study else []
    if here.is_new:
        kept = heard(_NAME, kept, numbers_among(count, most=MOST_MARKED))
    mark(here.study, kept)
    say(_NAME, in_address(kept))
    return kept


def mark(study: str, numbers: Sequence[int]) -> None:
    """Mark these trials and no others; called from a callback, before the page is redrawn."""
    st.session_state[_MARKED] = (study, list(numbers)[:MOST_MARKED])


def remark(study: str, numbers: Sequence[int]) -> None:
    """Mark trials because a person asks for it, and stop showing values refused in the address."""
    forget_refusals()
    mark(study, numbers)


def in_address(numbers: Sequence[int]) -> str:
    """Return the text that names these trials in a link."""
    return ",".join(map(str, numbers))
