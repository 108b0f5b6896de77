"""A figure that keeps zoom, pan and selection when it is redrawn with new data.

Streamlit removes and rebuilds its own chart whenever its data change, which resets the zoom in
a live view. This one makes plotly draw the new data into the existing chart.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

from dashboard.charts.legend import LegendEntry

# This serves plotly's own script. plot.js finds it by the names of this module and component.
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
    """Draw a figure.

    Args:
        figure: the figure or its JSON.
        key: the figure's key on its page; zoom and pan last as long as the key.
        alt: a description of the figure, for readers who can't see it.
        marked: numbers of the trials whose points are highlighted.
        on_mark: called with the trials that a person clicked, or enclosed with a box or a lasso.
    """

    def pass_on() -> None:
        numbers = st.session_state[key].get("marked")
        if on_mark is not None and isinstance(numbers, list):
            on_mark([number for number in numbers if isinstance(number, int)])

    text = figure if isinstance(figure, str) else str(figure.to_json())
    data = {"figure": text, "marked": list(marked), "alt": alt}
    _draw(key=key, data=data, on_marked_change=pass_on)


def show_legend(entries: Sequence[LegendEntry]) -> None:
    """Show one legend for several figures. The names are our own, so they need no escaping."""
    spans = [
        f'<span style="white-space: nowrap; margin-right: 1.2em">'
        f'<b style="color: {entry.colour}">{entry.sign}</b> {entry.name}</span> '
        for entry in entries
    ]
    st.html(f'<div style="font-size: 0.875rem">{"".join(spans)}</div>')
