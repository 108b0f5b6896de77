"""Page that offers the report of a study: one HTML file, to send to someone."""

import shlex
from functools import partial

import streamlit as st

from dashboard.panels.headline import show_states
from dashboard.panels.page import open_study
from dashboard.queries import DEFAULT_STORE, Place, load_advice, load_done, load_study
from dashboard.report.document import ReportData, report
from search.analysis.recommend import reasons
from search.storage.storage import safe_url


def show() -> None:
    """Show the page."""
    here = open_study("report", "Report")
    if here is None:
        return
    view = load_study(here.place)
    show_states(view)
    st.markdown(
        "One HTML file with the study's best student and why it was chosen, the frontier, every "
        "figure, what failed, and the study file. It opens in any browser without a network, in "
        "light or dark, and may be sent to someone."
    )
    advice = load_advice(here.place)
    if advice is None:
        st.caption("No student within the budget has been made yet; the report says what was near.")
    else:
        for line in reasons(advice, view.budget, view.goal):
            st.markdown(f"- {line}")
    st.download_button(
        "Download the report",
        partial(_made, here.place),
        file_name=f"{here.study}.html",
        mime="text/html",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
    )
    words = ["retort", "report", "--study", here.study, "-o", f"{here.study}.html"]
    url = here.place.url
    if url not in (DEFAULT_STORE, "") and safe_url(url) == url:
        words += ["--store", url]
    st.code(shlex.join(words), language="bash", wrap_lines=True)


def _made(place: Place) -> bytes:
    view = load_study(place)
    material = ReportData(study=view.study, trials=view.records, done=load_done(place))
    return report(material).encode()


if __name__ == "__main__":
    show()
