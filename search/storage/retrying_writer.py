"""Writes of a running study to the store: retried while it is unreachable, then journaled."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TypeVar

from search.errors import StoreUnavailable
from search.files.disk import disk_fault
from search.files.filestore import FolderStore
from search.records import IN_SEARCH, Outcome, Purpose, Scalar
from search.storage.artifact_owner import Claim
from search.storage.journal import Journal
from search.storage.storage import Store

# A write is retried for this many times the store's longest wait for a lock.
_LOCKS = 3
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

_Answer = TypeVar("_Answer")


class RetryingWriter:
    """A writer of a study's trials that survives short failures of the store.

    It retries a failed write for three times the store's longest wait for a lock. A retried write
    has an effect only once. If a result still can't be stored, the writer appends it to the journal
    and raises `StoreUnavailable`. If another search has claimed the artifacts folder, the writer
    writes nothing and raises `ArtifactsHeld`.

    Args:
        store: contains the study.
        study: the study's name.
        claim: the claim of its artifacts folder, where the writer records the study's extent.
    """

    def __init__(self, store: Store, study: str, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._study = study
        self._journal = journal_of(store, claim.artifacts)

    def start(
        self, params: Mapping[str, Scalar], seed: int, *, purpose: Purpose = IN_SEARCH
    ) -> int:
        """Add a running trial and return its number."""
        key = uuid.uuid4().hex
        return self._write(
            lambda: self._store.start_trial(
                self._study, params=params, seed=seed, key=key, purpose=purpose
            )
        )

    def restart(self, number: int, params: Mapping[str, Scalar]) -> None:
        """Set a trial to running again."""
        self._write(lambda: self._store.restart_trial(self._study, number, params=params))

    def reject(self, params: Mapping[str, Scalar], seed: int, outcome: Outcome) -> int:
        """Add a rejected trial, which never ran, and return its number."""
        key = uuid.uuid4().hex
        return self._write(
            lambda: self._store.record_rejected(
                self._study, params=params, seed=seed, outcome=outcome, key=key
            )
        )

    def finish(self, number: int, outcome: Outcome) -> list[int]:
        """End a trial, add its branches, and return the branches' numbers.

        Raises:
            StoreUnavailable: the result is in the journal; or it is lost, as the message states.
        """
        try:
            return self._write(lambda: self._store.finish_trial(self._study, number, outcome))
        except StoreUnavailable as error:
            try:
                self._journal.write(number, outcome)
            except OSError as fault:
                raise StoreUnavailable(
                    f"{error}. The result of trial {number} could not be written to the journal "
                    "either, so the trial must run again: "
                    f"{disk_fault(fault, self._journal.path.parent) or fault}"
                ) from fault
            raise

    def _write(self, write: Callable[[], _Answer]) -> _Answer:
        """Return the result of `write`, which must be safe to repeat.

        Raises:
            ArtifactsHeld: another search has claimed the artifacts folder.
            StoreUnavailable: all retries failed.
        """
        self._claim.check_if_reached()
        answer = self._retried(write)
        self._claim.keep_noted(self._store, self._study)
        return answer

    def _retried(self, write: Callable[[], _Answer]) -> _Answer:
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
    """Return a study's journal, in the folder of the store's file.

    For a store on a server, the journal is in the artifacts folder. If the artifacts are at a URL,
    this is the folder of their local copies, on the machine that ran the search.

    Args:
        store: contains the study.
        artifacts: the study's folder store; the last part of its address is the study's name.
    """
    folder = artifacts.folder
    with_artifacts = Journal(folder / "unstored.jsonl")
    if store.file is None:
        return with_artifacts
    by_store = store.file.with_name(f"{store.file.name}.{folder.name}.unstored.jsonl")
    return Journal(by_store, spare=with_artifacts)
