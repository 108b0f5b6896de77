"""The owner of an artifacts folder: one study of one store, and one lease of that study.

The folder contains `owner.json`, which records three things: the identity of the study, which is
unique among all stores; the token of the lease of the process that runs the study, or ran it last;
and the study's extent, which is its numbers of all trials and of ended trials. The store records
the token too, and it does so before the folder, since the process may die in between.

A copy of a store has the same identities as the original. Two facts distinguish the copy from the
original: the store that continued with the folder has changed the folder's token, and the older
store has fewer trials than the folder records.

Every write into the folder checks the token again, just before the written files become visible. So
a process that was suspended and then replaced by another changes nothing when it continues.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from search.errors import ArtifactsHeld, StoreError
from search.files.filestore import FolderStore
from search.records import StudyExtent, StudyRecord
from search.storage.storage import Store

OWNER = "owner.json"
_STUDENT = re.compile(r"trial-(?P<number>\d{5,})(-\d+)?")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The content of `owner.json`.

    Attributes:
        study: the study's identity.
        name: the study's name.
        store: the store's address, for messages.
        lease: the process of the lease, for messages.
        hold: the token of the lease that claimed the folder last.
        extent: the number of all trials and of ended trials.
    """

    study: str
    name: str
    store: str
    lease: str
    hold: str
    extent: StudyExtent


_OWNER: TypeAdapter[Owner] = TypeAdapter(Owner)


@dataclass(frozen=True)
class Claim:
    """The right of one lease's process to write a study's artifacts.

    Attributes:
        artifacts: the artifacts folder.
        hold: the lease's token.
    """

    artifacts: FolderStore
    hold: str

    def check(self) -> None:
        """Check that the folder has no owner yet, or belongs to this lease.

        Raises:
            ArtifactsHeld: another lease has claimed it.
            FolderStoreError: the URL does not answer.
        """
        owner = read_owner(self.artifacts)
        if owner is not None and owner.hold != self.hold:
            raise ArtifactsHeld(
                f"{self.artifacts} must belong to this run, but was taken over by {owner.lease}, "
                f"with the store {owner.store}: this run ends; no recorded trial is lost"
            )

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Write as `FolderStore.writing` does, but only if the folder belongs to this lease.

        Raises:
            ArtifactsHeld, FolderStoreError: as for `check`.
        """
        with self.artifacts.writing(name, check=self.check) as folder:
            yield folder

    def is_kept(self) -> bool:
        """Return whether the folder belongs to this lease; False if it can't be checked."""
        try:
            self.check()
        except (ArtifactsHeld, OSError):
            return False
        return True

    def note(self, store: Store, study: str) -> None:
        """Write the owner and the study's extent into the folder.

        Raises:
            OSError: it can't be written.
            StoreError: the store can't be read.
        """
        record = store.study(study)
        owner = Owner(
            study=record.identity,
            name=study,
            store=store.place,
            lease=str(record.lease or "another process"),
            hold=self.hold,
            extent=store.extent(study),
        )
        self.artifacts.replace(OWNER, json.dumps(asdict(owner), indent=1).encode())

    def keep_noted(self, store: Store, study: str) -> None:
        """Call `note`, but ignore a failure: the next call writes the same information.

        Raises:
            ArtifactsHeld: another lease has claimed the folder.
        """
        self.check_if_reached()
        with suppress(OSError, StoreError):
            self.note(store, study)

    def check_if_reached(self) -> None:
        """Call `check`, but ignore a folder that can't be read."""
        with suppress(OSError):
            self.check()


def claim_artifacts(store: Store, study: str, hold: str, *, take_over: bool = False) -> Claim:
    """Claim the study's artifacts folder for this process's lease.

    Args:
        store: contains the study, which this process holds.
        study: the study's name.
        hold: the token of the lease.
        take_over: whether to claim a folder of another store, or of a newer copy of this store.

    Raises:
        ArtifactsHeld: the folder belongs to another study or store, and `take_over` is False.
        FolderStoreError: the URL does not answer.
    """
    record = store.study(study)
    artifacts = FolderStore.of(record.artifacts)
    found = stranger(artifacts, record, store.extent(study))
    if found and not take_over:
        raise ArtifactsHeld(
            f"{found}. Continue with that store. If it is lost, continue with this one by `retort "
            f"resume {study} --take-over`, which sets aside the students that this store lacks"
        )
    owner = read_owner(artifacts)
    store.claim(study, before=owner.hold if owner else None)
    claim = Claim(artifacts, hold)
    claim.note(store, study)
    return claim


def check_free(artifacts: FolderStore, study: str) -> None:
    """Check that a new study may use the folder.

    Raises:
        ArtifactsHeld: the folder contains students of another study.
        FolderStoreError: the URL does not answer.
    """
    owner = read_owner(artifacts)
    if owner is not None:
        found = f"{artifacts} belongs to the study {owner.name} of the store {owner.store}"
    elif unknown := _unknown_students(artifacts, 0):
        found = f"{artifacts} contains students of another study, such as {unknown[0]}"
    else:
        return
    raise ArtifactsHeld(
        f"{found}: continue that study with `retort resume`; or give this one another name, such "
        f"as study={study}-2, or another run.artifacts; or remove the folder"
    )


def stranger(artifacts: FolderStore, record: StudyRecord, extent: StudyExtent) -> str:
    """Return the reason why the folder does not belong to the study; empty if it does.

    Args:
        artifacts: the study's folder.
        record: the study, as the store records it.
        extent: the study's extent, as the store records it.
    """
    owner = read_owner(artifacts)
    if owner is None:  # an older retort wrote it, or there is no owner yet
        unknown = _unknown_students(artifacts, extent.trials)
        return (
            f"{artifacts} contains students that this store lacks, such as {unknown[0]}: "
            "another store, or a newer copy of this one, has written them"
            if unknown
            else ""
        )
    if owner.study != record.identity:
        return f"{artifacts} belongs to the study {owner.name} of the store {owner.store}"
    if owner.hold not in record.claims:
        return (
            f"{artifacts} was held last by {owner.lease}, with the store {owner.store}, but this "
            "store has no record of that: a copy of the store has continued there, or one of them "
            "was restored from a backup"
        )
    if extent.is_behind(owner.extent):
        return (
            f"{artifacts} records {owner.extent}, but this store only {extent}: it is an older "
            f"copy of {owner.store}"
        )
    return ""


def read_owner(artifacts: FolderStore) -> Owner | None:
    """Return the folder's owner; None if it has none, or if `owner.json` is damaged.

    Raises:
        FolderStoreError: the URL does not answer.
        OSError: the file can't be read.
    """
    content = artifacts.read(OWNER)
    if content is None:
        return None
    try:
        return _OWNER.validate_json(content)
    except ValidationError:
        return None


def _unknown_students(artifacts: FolderStore, trials: int) -> list[str]:
    """Return the complete students that a store with `trials` trials lacks."""
    found = (_STUDENT.fullmatch(name) for name in artifacts.names())
    return [
        match[0] for match in found if match and int(match["number"]) >= trials
        and artifacts.kept(match[0])
    ]  # fmt: skip
