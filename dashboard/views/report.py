"""Page from which a study's report, one HTML file, is downloaded."""

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
        "The report is one HTML file. It holds the best student and the reasons for it, the "
        "frontier, all figures, the failed trials and the study file. Any browser opens it without "
        "a network, in a light or a dark theme."
    )
    advice = load_advice(here.place)
    if advice is None:
        st.caption("No student fits the budget yet. The report gives the reason.")
    else:
        for line in reasons(advice, view.budget, view.goal):
            st.markdown(f"- {line}")
    st.download_button(
        "Download the report",
        partial(_report_bytes, here.place),
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


def _report_bytes(place: Place) -> bytes:
    view = load_study(place)
    material = ReportData(study=view.study, trials=view.records, done=load_done(place))
    return report(material).encode()


if __name__ == "__main__":
    show()
