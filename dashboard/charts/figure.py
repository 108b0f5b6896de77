"""Common parts of all figures. The page adds its theme's colours to text and lines."""

from html import escape
from typing import Any

import plotly.graph_objects as go

from search.files.text import visible_lines

HEIGHT = 430
# theme.js puts the page's own colour behind an annotation of this name.
GROUND = "ground"
_MARGIN = {"l": 10, "r": 16, "t": 28, "b": 10}


def as_text(text: str) -> str:
    """Return the text as HTML, with tags and direction marks escaped."""
    return escape(visible_lines(text))


def new_figure(*, height: int = HEIGHT, **layout: Any) -> go.Figure:
    """Return an empty figure that keeps its zoom and selection when it is redrawn with new data."""
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
