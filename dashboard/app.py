"""The dashboard: `retort dashboard`, or `streamlit run dashboard/app.py`."""

import streamlit as st

from dashboard.access import is_login_configured
from dashboard.views import frontier


def main() -> None:
    """Lets in who may look, and shows the page that the address names."""
    st.set_page_config(page_title="retort", page_icon=":material/science:", layout="wide")
    # Streamlit leaves room above for a toolbar that is two lines high.
    st.html("<style>[data-testid=stMainBlockContainer] { padding-top: 3rem; }</style>")
    if _must_log_in():
        st.title("retort")
        st.button("Log in", on_click=st.login, type="primary")
        return
    pages = [
        st.Page(
            frontier.show,
            title="Frontier",
            icon=":material/show_chart:",
            url_path="frontier",
            default=True,
        )
    ]
    st.navigation(pages, position="top").run()


def _must_log_in() -> bool:
    try:
        return is_login_configured() and not st.user.is_logged_in
    except ValueError as error:
        st.error(str(error))
        st.stop()


if __name__ == "__main__":
    main()
