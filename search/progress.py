"""The interface of callbacks, which receive a run's events."""

from collections.abc import Callable, Mapping
from typing import Protocol

from search.records import EpochRecord, Outcome, Scalar

Step = Callable[[str], None]
"""Receives what the preparation does now, such as `teacher's logits: view 2 of 4`."""


def no_step(_: str) -> None:
    """Ignore a step."""


class Callback(Protocol):
    """Receiver of a run's events, in the process of the tuner."""

    def log(self, text: str) -> None:
        """Receive one line about the current work."""

    def note(self, text: str) -> None:
        """Receive one line that the person must be able to read later, such as a warning."""

    def on_step(self, text: str) -> None:
        """Receive what the preparation does now, and how far it is; often, and not for a log."""

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        """Receive a trial's end; a rejected trial or a branch has no earlier event."""

    def on_trial_exit(self, number: int) -> None:
        """Receive the end of a started trial and of all its branches."""


class SilentCallback:
    """Callback that does nothing; derive from it to receive only some events."""

    def log(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...

    def on_step(self, text: str) -> None: ...

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None: ...

    def on_trial_exit(self, number: int) -> None: ...
