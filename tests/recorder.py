"""A watcher that notes what is said."""

from search.progress import SilentCallback


class TrialRecorder(SilentCallback):
    """What was said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)
