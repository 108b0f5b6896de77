"""The events of a run, for its observers."""

from collections.abc import Mapping
from typing import Protocol

from search.records import EpochRecord, Outcome, Scalar


class Callback(Protocol):
    """The receiver of a run's events, in the process that drives the search."""

    def log(self, text: str) -> None:
        """Receive one line about the present work."""

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        """Receive a trial's end; for a rejected trial or a branch this is the first event."""

    def on_trial_exit(self, number: int) -> None:
        """Receive the end of a started trial and of all its branches."""


class SilentCallback:
    """A callback that does nothing; a receiver of single events derives from it."""

    def log(self, text: str) -> None: ...

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None: ...

    def on_trial_exit(self, number: int) -> None: ...
