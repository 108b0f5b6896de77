"""Latency measured in a moment: no test needs a precise one."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from search.targets import latency


@contextmanager
def short_rounds() -> Iterator[tuple[float, float]]:
    """Lets the warm-up and each round end after five runs; gives their seconds for users."""
    lasting = latency._WARM_UP_S, latency._ROUND_S
    with patch.object(latency, "_WARM_UP_S", 0.0), patch.object(latency, "_ROUND_S", 0.0):
        yield lasting
