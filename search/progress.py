"""The interface of callbacks, which receive a run's events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from search.records import EpochRecord, Outcome, Scalar

Step = Callable[[str], None]
"""Receives what the preparation does now, such as `teacher's logits: view 2 of 4`."""


def no_step(_: str) -> None:
    """Ignore a step."""


@dataclass(frozen=True)
class FinalPlace:
    """The place of a finalist among all, from 1, and that of its seed.

    Attributes:
        place: the place of its recipe; the best recipe of the search is 1.
        count: the number of recipes.
        seed: the place of its seed.
        seeds: the number of seeds of each recipe.
        refits: the number of the trial that a refit repeats; None for a finalist.
    """

    place: int
    count: int
    seed: int = 1
    seeds: int = 1
    refits: int | None = None

    def __str__(self) -> str:
        """Return text such as `finalist 2 of 3, seed 1 of 2`."""
        if self.refits is not None:
            return f"refit of trial {self.refits}"
        text = f"finalist {self.place} of {self.count}"
        return f"{text}, seed {self.seed} of {self.seeds}" if self.seeds > 1 else text


class Callback(Protocol):
    """Receiver of a run's events, in the process of the tuner."""

    def log(self, text: str) -> None:
        """Receive one line about the current work."""

    def note(self, text: str) -> None:
        """Receive one line that the person must be able to read later, such as a warning."""

    def on_step(self, text: str) -> None:
        """Receive what the preparation does now, and how far it is; often, and not for a log."""

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None: ...

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        """Receive the start of a finalist or of a refit; its later events are those of a trial."""

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

    def on_final_start(
        self, number: int, params: Mapping[str, Scalar], place: FinalPlace
    ) -> None: ...

    def on_trial_report(self, number: int, point: EpochRecord) -> None: ...

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None: ...

    def on_trial_exit(self, number: int) -> None: ...
