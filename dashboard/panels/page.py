"""Common parts of all pages: the choice of the study, and live updates."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from dashboard.access import is_login_configured
from dashboard.address import arrive, bind, forget_refusals, one_of, say
from dashboard.launch import STUDY_VARIABLE
from dashboard.panels.messages import show_text
from dashboard.queries import Place, Pulse, store_url, study_pulses
from search.errors import StoreError
from search.files.text import visible
from search.storage.storage import safe_url

_STUDY = "study"
_LIVE = "is_live"
_POLL_S = 3.0
_GONE: Pulse = (0, datetime.min.replace(tzinfo=UTC))
_LIVE_HELP = "Updates the page when a trial starts or ends. Zoom and selection are kept."


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """The current page, its study, and the state of the store that is shown.

    Attributes:
        page: the page's name in the address.
        place: the study in its store.
        is_new: whether another page was shown before, so that the address must be read.
    """

    page: str
    place: Place
    is_new: bool

    @property
    def study(self) -> str:
        """The study's name."""
        return self.place.study


def must_log_in() -> bool:
    """Return whether the visitor must log in first. If that can't be known, end the page."""
    try:
        return is_login_configured() and not st.user.is_logged_in
    except ValueError as error:
        st.error(str(error))
        st.stop()


def open_store(page: str, title: str) -> Mapping[str, Pulse] | None:
    """Begin a page about all studies; return None, and show a message, if there is none.

    Raises:
        StoreError: the store can't be read.
    """
    arrive(page)
    pulses = study_pulses(store_url())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"## {title}", width="stretch")
        is_live = _live_switch(page)
    if not pulses:
        _show_no_study()
        return None
    _watch(pulses, None, is_live=is_live)
    return pulses


def open_study(page: str, title: str) -> PageContext | None:
    """Begin a page about one study; return None, and show a message, if there is none.

    Raises:
        StoreError: the store can't be read.
    """
    is_new = arrive(page)
    url = store_url()
    pulses = study_pulses(url)
    if not pulses:
        st.markdown(f"## {title}")
        _show_no_study()
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"## {title}", width="content")
        with st.container(width=280):
            study = _pick_study(page, list(pulses))
        is_live = _live_switch(page)
    _watch(pulses, study, is_live=is_live)
    place = Place(url=url, study=study, pulse=pulses[study])
    return PageContext(page=page, place=place, is_new=is_new)


def _show_no_study() -> None:
    st.info("This store holds no study yet. Start one:", icon=":material/science:")
    st.code("retort run study.yaml", language="bash")
    show_text(safe_url(store_url()))


def _pick_study(page: str, names: Sequence[str]) -> str:
    """Return the study that the person, the address or the launcher names; else the newest."""
    looked_at, started_with = st.session_state.get(_STUDY), os.environ.get(STUDY_VARIABLE)
    default = next((name for name in (looked_at, started_with) if name in names), names[0])
    key = bind(page, _STUDY, default, one_of(names))
    if st.session_state[key] not in names:
        st.session_state[key] = default
    picked = st.selectbox(
        "Study",
        names,
        key=key,
        format_func=visible,
        on_change=_forget,
        args=(page, key),
        label_visibility="collapsed",
    )
    st.session_state[_STUDY] = picked
    say(_STUDY, picked)
    return picked


def _forget(page: str, kept: str) -> None:
    """Discard settings of the previous study, whose trials and costs were different."""
    forget_refusals()
    for key in [key for key in st.session_state if str(key).startswith(f"{page}.")]:
        if key not in (kept, f"{page}.live"):
            del st.session_state[key]
    for name in [name for name in st.query_params if name != _STUDY]:
        del st.query_params[name]


def _live_switch(page: str) -> bool:
    key = f"{page}.live"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(_LIVE, True)
    is_live = st.toggle("Live", key=key, help=_LIVE_HELP)
    st.session_state[_LIVE] = is_live
    return is_live


@st.fragment(run_every=_POLL_S)
def _watch(seen: Mapping[str, Pulse], study: str | None, *, is_live: bool) -> None:
    """Poll only counts and times of change; redraw the page if they have changed."""
    try:
        now = study_pulses(store_url())
    except StoreError as error:
        st.warning("The store can't be read now. The page shows its earlier content.")
        show_text(str(error))
        return
    if study is not None:
        seen, now = ({study: pulses.get(study, _GONE)} for pulses in (seen, now))
    if now == seen:
        return
    if is_live:
        st.rerun()
    new = sum(count for count, _ in now.values()) - sum(count for count, _ in seen.values())
    label = f"{new} new trials: show them" if new > 0 else "The store has changed: show it"
    if st.button(label, icon=":material/refresh:"):
        st.rerun()
