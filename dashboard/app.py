"""The dashboard: `retort dashboard`, or `streamlit run dashboard/app.py`."""

import streamlit as st

from dashboard.access import is_login_configured
from dashboard.address import show_refused
from dashboard.panels.messages import show_problem
from search.errors import StoreError

_PAGES = (
    ("frontier", "Frontier", ":material/show_chart:"),
    ("studies", "Studies", ":material/science:"),
    ("trial", "Trial", ":material/biotech:"),
    ("trials", "Trials", ":material/table_rows:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("influence", "What matters", ":material/tune:"),
    ("report", "Report", ":material/description:"),
)
# Streamlit leaves room above for a toolbar that is two lines high.
_STYLE = "<style>[data-testid=stMainBlockContainer] { padding-top: 3rem; }</style>"


def main() -> None:
    """Lets in who may look, and shows the page that the address names."""
    st.set_page_config(page_title="retort", page_icon=":material/science:", layout="wide")
    st.html(_STYLE)
    if _must_log_in():
        st.title("retort")
        st.button("Log in", on_click=st.login, type="primary")
        return
    home = st.Page(_go_on, title="retort", url_path="home", default=True, visibility="hidden")
    pages = [
        st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name)
        for name, title, icon in _PAGES
    ]
    page = st.navigation([home, *pages], position="top")
    refusals = st.container()
    try:
        page.run()
    except StoreError as error:
        show_problem("The store can't be read.", str(error))
    with refusals:
        show_refused()


def _go_on() -> None:
    # The default page has no name in the address, so none of ours is it: `/frontier` must work.
    st.switch_page(f"views/{_PAGES[0][0]}.py", query_params=st.query_params.to_dict())


def _must_log_in() -> bool:
    try:
        return is_login_configured() and not st.user.is_logged_in
    except ValueError as error:
        st.error(str(error))
        st.stop()


if __name__ == "__main__":
    main()
