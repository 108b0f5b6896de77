"""A watcher that notes what is said."""

from search.progress import Silent


class Notes(Silent):
    """What was said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
