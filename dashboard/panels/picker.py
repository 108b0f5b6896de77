"""Which study and which trial are looked at; both are in the page's address."""

import os
from collections.abc import Sequence

import streamlit as st

from dashboard.launch import STUDY_VARIABLE
from dashboard.panels.messages import show_text

# Their names in the address, where any text may stand: it is looked for among the known values.
STUDY = "study"
TRIAL = "trial"

_UNKNOWN = "unknown_study"
_PICKED = "picked_study"
_LONGEST_NAME_SHOWN = 80


def pick_study(names: Sequence[str]) -> str:
    """The study that the person, the address or the launcher names; else the first."""
    # Not bound: a bound widget leaves its default out of the address, and a copied link must name
    # its study, for another one may be the newest tomorrow.
    asked = st.query_params.get(STUDY)
    if _PICKED not in st.session_state:
        started_with = os.environ.get(STUDY_VARIABLE)
        wanted = next((name for name in (asked, started_with) if name in names), names[0])
        st.session_state[_PICKED] = wanted
        if asked is not None and asked not in names:
            st.session_state[_UNKNOWN] = asked
    picked = st.selectbox(
        "Study", names, key=_PICKED, on_change=_forget_selection, label_visibility="collapsed"
    )
    if asked != picked:
        st.query_params[STUDY] = picked
    return picked


def say_unknown_study() -> None:
    """Says that the address names a study which this store does not hold, where it does."""
    unknown = st.session_state.get(_UNKNOWN)
    if unknown is not None:
        st.warning("This store holds no study of the name in the address. Another is shown.")
        is_cut = len(unknown) > _LONGEST_NAME_SHOWN
        show_text(unknown[:_LONGEST_NAME_SHOWN] + "…" * is_cut)


def pick_trial(numbers: Sequence[int]) -> int | None:
    """The trial that the person or the address names; None where neither does."""
    return st.selectbox(
        "Trial",
        numbers,
        index=None,
        key=TRIAL,
        bind="query-params",
        placeholder="Click a point, or choose a trial",
        label_visibility="collapsed",
    )


def select_trial(number: int | None) -> None:
    """Selects a trial, from a callback: before the page is drawn again."""
    st.session_state[TRIAL] = number


def _forget_selection() -> None:
    st.session_state.pop(_UNKNOWN, None)
    select_trial(None)
