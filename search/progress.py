"""What a run tells whoever watches it."""

from collections.abc import Mapping
from typing import Protocol

from search.records import EpochRecord, Outcome, Scalar


class Watcher(Protocol):
    """Told of what happens, in the process that drives the search."""

    def say(self, text: str) -> None:
        """One line of what is going on now."""

    def trial_started(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def trial_advanced(self, number: int, point: EpochRecord) -> None: ...

    def trial_ended(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        """A trial's end; of one that was rejected, or made of another's student, the first word."""

    def trial_left(self, number: int) -> None:
        """A trial that had started is over, and so is what else is made of its student."""


class Silent:
    """Watches without a word; what wants to hear of one thing alone derives from it."""

    def say(self, text: str) -> None: ...

    def trial_started(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def trial_advanced(self, number: int, point: EpochRecord) -> None: ...

    def trial_ended(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None: ...

    def trial_left(self, number: int) -> None: ...
