"""What a run tells whoever watches it."""

from collections.abc import Mapping
from typing import Protocol

from search.records import EpochRecord, Outcome, Scalar


class Callback(Protocol):
    """Told of what happens, in the process that drives the search."""

    def log(self, text: str) -> None:
        """One line of what is going on now."""

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        """A trial's end; of one that was rejected, or made of another's student, the first word."""

    def on_trial_exit(self, number: int) -> None:
        """A trial that had started is over, and so is what else is made of its student."""


class SilentCallback:
    """Watches without a word; what wants to hear of one thing alone derives from it."""

    def log(self, text: str) -> None: ...

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None: ...

    def on_trial_exit(self, number: int) -> None: ...
