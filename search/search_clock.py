"""The clock of a study's search time, which `search.max_time` limits, and of its finals' time."""

import time


class SearchClock:
    """Clock of the search time of all runs of a study.

    It runs from the first trial of a run to the end of its search: the time to prepare data and
    teacher, to start Ray and to measure costs meanwhile does not count. A second clock runs in the
    same way while finalists are trained; `final.max_time` limits it.

    Args:
        elapsed_s: the search time of the study's earlier runs, in seconds.
    """

    def __init__(self, elapsed_s: float = 0.0) -> None:
        self._before_s = elapsed_s
        self._began: float | None = None

    @property
    def elapsed_s(self) -> float:
        """The search time of all runs together, in seconds."""
        began = self._began
        return self._before_s + (0.0 if began is None else time.monotonic() - began)

    def start(self) -> None:
        """Start the clock, unless it runs already."""
        if self._began is None:
            self._began = time.monotonic()

    def stop(self) -> None:
        """Stop the clock: later work is not part of the search."""
        self._before_s, self._began = self.elapsed_s, None
