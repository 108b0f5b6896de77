"""A running study's writes to the store: repeated while it is out of reach, with a journal."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TypeVar

from search.errors import StoreUnavailable
from search.files.disk import disk_fault
from search.files.filestore import FolderStore
from search.records import Outcome, Scalar
from search.storage.artifact_owner import Claim
from search.storage.journal import Journal
from search.storage.storage import Store

# A write is repeated for this many times as long as the store waits for one lock.
_LOCKS = 3
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

_Answer = TypeVar("_Answer")


class RetryingWriter:
    """A writer of a study's trials, which makes each write once even if the store fails meanwhile.

    A write that the store can't take is repeated, for three times as long as the store waits for a
    lock.
    If it still does not take a result, the result goes to the journal, and `StoreUnavailable`
    reports it.
    Nothing is written once the artifacts folder is another's: the other search then ends this one.

    Args:
        store: contains the study.
        study: the study's name.
        claim: the claim to its artifacts, where the writer records how far the study has come.
    """

    def __init__(self, store: Store, study: str, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._study = study
        self._journal = journal_of(store, claim.artifacts)

    def start(self, params: Mapping[str, Scalar], seed: int) -> int:
        """Add a running trial, and return its number."""
        key = uuid.uuid4().hex
        return self._patiently(
            lambda: self._store.start_trial(self._study, params=params, seed=seed, key=key)
        )

    def restart(self, number: int, params: Mapping[str, Scalar]) -> None:
        """Set a trial to running once more."""
        self._patiently(lambda: self._store.restart_trial(self._study, number, params=params))

    def reject(self, params: Mapping[str, Scalar], seed: int, outcome: Outcome) -> int:
        """Add a trial that ended before it began, and return its number."""
        key = uuid.uuid4().hex
        return self._patiently(
            lambda: self._store.record_rejected(
                self._study, params=params, seed=seed, outcome=outcome, key=key
            )
        )

    def finish(self, number: int, outcome: Outcome) -> list[int]:
        """End a trial and add its branches, and return the branches' numbers.

        Raises:
            StoreUnavailable: the result is in the journal, or the journal has no room either.
        """
        try:
            return self._patiently(lambda: self._store.finish_trial(self._study, number, outcome))
        except StoreUnavailable as error:
            try:
                self._journal.write(number, outcome)
            except OSError as fault:
                raise StoreUnavailable(
                    f"{error}. Nor can the result of trial {number} be kept elsewhere, so that it "
                    f"is run again: {disk_fault(fault, self._journal.path.parent) or fault}"
                ) from fault
            raise

    def _patiently(self, write: Callable[[], _Answer]) -> _Answer:
        """Return the answer of `write`, which is safe to repeat.

        Raises:
            ArtifactsHeld: another store's search has the artifacts folder.
            StoreUnavailable: the store did not take the write.
        """
        self._claim.check_if_reached()
        answer = self._tried(write)
        self._claim.keep_noted(self._store, self._study)
        return answer

    def _tried(self, write: Callable[[], _Answer]) -> _Answer:
        end = time.monotonic() + _LOCKS * self._store.patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return write()
            except StoreUnavailable:
                if time.monotonic() + pause_s > end:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def journal_of(store: Store, artifacts: FolderStore) -> Journal:
    """Return a study's journal: beside the store's file, else with its artifacts.

    Where the artifacts are at a URL, the journal is with their copies, on the machine that drove
    the search.

    Args:
        store: contains the study.
        artifacts: the study's folder store, whose name ends with the study's.
    """
    folder = artifacts.folder
    with_artifacts = Journal(folder / "unstored.jsonl")
    if store.file is None:
        return with_artifacts
    beside = store.file.with_name(f"{store.file.name}.{folder.name}.unstored.jsonl")
    return Journal(beside, spare=with_artifacts)
