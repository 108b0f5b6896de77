"""The owner of an artifacts folder: one study of one store, and one hold of that study.

The folder contains `owner.json`. It records the study's identity, which no study in another store
has; the hold of the process that runs it, or ran it last; and how far the study had come. The store
records the hold too, and does so before the folder does, because a process may die in between. A
copy of a store has the identity of the original. Two facts distinguish them: the store that
continued in the folder changed the folder's hold, and the older store knows fewer trials than the
folder does.

Each write into the folder checks the hold once more, just before the written files become visible.
A process that was stopped, and replaced by another meanwhile, therefore changes nothing there when
it continues.
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
        store: the store's address; for people.
        lease: the process of the hold; for people.
        hold: the token by which the folder was claimed last.
        extent: how far the study had come.
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
    """The right of one hold to write a study's artifacts.

    Attributes:
        artifacts: the artifacts folder.
        hold: the hold's token.
    """

    artifacts: FolderStore
    hold: str

    def check(self) -> None:
        """Check that the folder belongs to this hold, or to nobody yet.

        Raises:
            ArtifactsHeld: another hold claimed it.
            FolderStoreError: the URL does not answer.
        """
        owner = read_owner(self.artifacts)
        if owner is not None and owner.hold != self.hold:
            raise ArtifactsHeld(
                f"{self.artifacts} must be this run's own to be written to, but was taken over by "
                f"{owner.lease}, with the store {owner.store}: this run ends, nothing that was "
                "recorded is lost"
            )

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Write as `FolderStore.writing` does, but only where the folder belongs to this hold.

        Raises:
            ArtifactsHeld, FolderStoreError: as `check`.
        """
        with self.artifacts.writing(name, check=self.check) as folder:
            yield folder

    def is_kept(self) -> bool:
        """Return whether the folder belongs to this hold, as far as is known."""
        try:
            self.check()
        except (ArtifactsHeld, OSError):
            return False
        return True

    def note(self, store: Store, study: str) -> None:
        """Write into the folder its owner and how far the study has come.

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
        """Call `note`, but ignore a failed write: the next call writes what this one missed.

        Raises:
            ArtifactsHeld: another hold claimed the folder.
        """
        self.check_if_reached()
        with suppress(OSError, StoreError):
            self.note(store, study)

    def check_if_reached(self) -> None:
        """Check as `check` does; a folder that does not answer counts as this hold's."""
        with suppress(OSError):
            self.check()


def claim_artifacts(store: Store, study: str, hold: str, *, take_over: bool = False) -> Claim:
    """Claim the study's artifacts folder for this hold.

    Args:
        store: contains the study, and is held itself.
        study: the study's name.
        hold: the token of the process's hold.
        take_over: whether the folder may be another store's, or a newer copy's of this store.

    Raises:
        ArtifactsHeld: it is another's, and `take_over` is False.
        FolderStoreError: the URL does not answer.
    """
    record = store.study(study)
    artifacts = FolderStore.of(record.artifacts)
    found = stranger(artifacts, record, store.extent(study))
    if found and not take_over:
        raise ArtifactsHeld(
            f"{found}. Go on with that store; or, if it is lost, with this one by `retort resume "
            f"{study} --take-over`, which sets aside what this store does not know"
        )
    owner = read_owner(artifacts)
    store.claim(study, before=owner.hold if owner else None)
    claim = Claim(artifacts, hold)
    claim.note(store, study)
    return claim


def check_free(artifacts: FolderStore, study: str) -> None:
    """Check that a new study may use the folder.

    Raises:
        ArtifactsHeld: another study has its students there.
        FolderStoreError: the URL does not answer.
    """
    owner = read_owner(artifacts)
    if owner is not None:
        found = f"{artifacts} belongs to the study {owner.name} of the store {owner.store}"
    elif strange := _unknown_students(artifacts, 0):
        found = f"{artifacts} holds students of another study, such as {strange[0]}"
    else:
        return
    raise ArtifactsHeld(
        f"{found}: go on with that one by `retort resume`, give this one another name, such as "
        f"study={study}-2, or another folder as run.artifacts; or remove the folder"
    )


def stranger(artifacts: FolderStore, record: StudyRecord, extent: StudyExtent) -> str:
    """Return why the folder is not the study's, or no longer is; empty where it is.

    Args:
        artifacts: the study's folder.
        record: the study, as the store records it.
        extent: how far it has come, as the store records it.
    """
    owner = read_owner(artifacts)
    if owner is None:  # written by an older retort, or nobody's yet
        strange = _unknown_students(artifacts, extent.trials)
        return (
            f"{artifacts} holds students that this store does not know, such as {strange[0]}: "
            "another store, or a newer copy of this one, has written there"
            if strange
            else ""
        )
    if owner.study != record.identity:
        return f"{artifacts} belongs to the study {owner.name} of the store {owner.store}"
    if owner.hold not in record.claims:
        return (
            f"{artifacts} was held last by {owner.lease}, with the store {owner.store}, of which "
            "this store does not know: a copy of it has gone on there, or one of both was put back "
            "from a backup"
        )
    if extent.is_behind(owner.extent):
        return (
            f"{artifacts} knows of {owner.extent}, but this store of {extent}: it is an older copy "
            f"of {owner.store}"
        )
    return ""


def read_owner(artifacts: FolderStore) -> Owner | None:
    """Return the folder's owner; None where the folder records none.

    A file that a kill cut short counts as none: the folder is then judged by its contents.

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
    """Return the complete students whose trial numbers a store of `trials` trials lacks."""
    found = (_STUDENT.fullmatch(name) for name in artifacts.names())
    return [
        match[0] for match in found if match and int(match["number"]) >= trials
        and artifacts.kept(match[0])
    ]  # fmt: skip
