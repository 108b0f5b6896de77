"""A watcher that notes what is said."""

from search.progress import SilentCallback


class TrialRecorder(SilentCallback):
    """What was said and noted, each in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.noted.append(text)
