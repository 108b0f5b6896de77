"""The dashboard: `retort dashboard`, or `streamlit run dashboard/app.py`."""

from pathlib import Path

import streamlit as st

from dashboard.address import show_refused
from dashboard.panels.messages import as_plain, show_problem
from dashboard.panels.page import must_log_in
from search.errors import BadInput, DamagedRow, StoreError

_PAGES = (
    ("frontier", "Frontier", ":material/show_chart:"),
    ("studies", "Studies", ":material/science:"),
    ("trial", "Trial", ":material/biotech:"),
    ("trials", "Trials", ":material/table_rows:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("influence", "Analysis", ":material/tune:"),
    ("report", "Report", ":material/description:"),
)
_ICON = Path(__file__).with_name("icon.svg")
# Streamlit leaves room at the top for a toolbar that is two lines high.
_STYLE = "<style>[data-testid=stMainBlockContainer] { padding-top: 3rem; }</style>"


def main() -> None:
    """Check the visitor's access and show the page that the address names."""
    # The browser would fetch a named icon from a Google server.
    st.set_page_config(page_title="retort", page_icon=str(_ICON), layout="wide")
    st.html(_STYLE)
    if must_log_in():
        st.title("retort")
        st.button("Log in", on_click=st.login, type="primary")
        return
    home = st.Page(
        _open_first_page, title="retort", url_path="home", default=True, visibility="hidden"
    )
    pages = [
        st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name)
        for name, title, icon in _PAGES
    ]
    page = st.navigation([home, *pages], position="top")
    refusals = st.container()
    try:
        page.run()
    except DamagedRow as error:
        show_problem(f"{as_plain(error.study)} is damaged.", str(error))
    except BadInput as error:
        show_problem("The study can't be read here.", str(error))
    except StoreError as error:
        show_problem("The store can't be read.", str(error))
    with refusals:
        show_refused()


def _open_first_page() -> None:
    # The default page has no name in the address. `/frontier` must work, so the default page is
    # this redirect.
    st.switch_page(f"views/{_PAGES[0][0]}.py", query_params=st.query_params.to_dict())


if __name__ == "__main__":
    main()
