"""A figure on a page that keeps zoom, pan and selection when it is drawn again with new data.

Streamlit's own chart is taken down and set up anew whenever its data change, which undoes zooming
in a live view; this one has plotly draw the new data in its place.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

from dashboard.charts.legend import LegendEntry

# Serves plotly's own script; plot.js knows it by this module's name and this one.
declare_component("plotly", path=Path(plotly.__file__).parent / "package_data")

_SCRIPTS = (Path(__file__).parents[1] / "charts/theme.js", Path(__file__).with_name("plot.js"))
_draw = st.components.v2.component(
    "retort_plot",
    js="\n".join(path.read_text() for path in _SCRIPTS),
    isolate_styles=False,
)


def show_plot(
    figure: go.Figure | str,
    *,
    key: str,
    alt: str,
    marked: Sequence[int] = (),
    on_mark: Callable[[list[int]], None] | None = None,
) -> None:
    """Draws a figure.

    Args:
        figure: or its JSON.
        key: of the figure on its page; while it stays, so do zoom and pan.
        alt: what is to be seen, in words.
        marked: numbers of trials whose points stand out from the others.
        on_mark: called with the trials that a person clicked, or drew a box or a loop around.
    """

    def hear() -> None:
        numbers = st.session_state[key].get("marked")
        if on_mark is not None and isinstance(numbers, list):
            on_mark([number for number in numbers if isinstance(number, int)])

    text = figure if isinstance(figure, str) else str(figure.to_json())
    data = {"figure": text, "marked": list(marked), "alt": alt}
    _draw(key=key, data=data, on_marked_change=hear)


def show_legend(entries: Sequence[LegendEntry]) -> None:
    """One legend for several figures. Names are our own, so they need no escaping."""
    spans = [
        f'<span style="white-space: nowrap; margin-right: 1.2em">'
        f'<b style="color: {entry.colour}">{entry.sign}</b> {entry.name}</span> '
        for entry in entries
    ]
    st.html(f'<div style="font-size: 0.875rem">{"".join(spans)}</div>')
