"""What all figures have in common. Text and lines get the theme's colours where it is drawn."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from search.text import visible_lines

HEIGHT = 430
# An annotation of this name gets the page's own colour behind it, from theme.js.
GROUND = "ground"
_MARGIN = {"l": 10, "r": 16, "t": 28, "b": 10}


def as_text(text: str) -> str:
    """The text as HTML in which nothing that others wrote is a tag, or turns how it is read."""
    return escape(visible_lines(text))


def new_figure(*, height: int = HEIGHT, **layout: Any) -> go.Figure:
    """An empty figure whose zoom and selection survive being drawn again with other data."""
    base = {
        "template": "none",
        "height": height,
        "margin": _MARGIN,
        "showlegend": False,
        "hovermode": "closest",
        "uirevision": "kept",
        "xaxis": {"automargin": True},
        "yaxis": {"automargin": True},
    }
    return go.Figure(layout=base | layout)
