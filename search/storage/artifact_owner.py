"""Whose an artifacts folder is: it belongs to one study of one store, and to one hold of it.

The folder bears `owner.json`: the study's identity, which no study in another store has; the hold
of the process that runs it, or ran it last; and how far the study had come. The store keeps the
hold, too, and before the folder does, so that a process may die in between. A copy of a store has
the identity of the original. The rest tells them apart: whoever went on in the folder changed its
hold, and whoever is older knows of fewer trials than the folder does.

Each write into the folder looks at the hold once more, just before anybody sees what is written:
a process that was stopped, and taken over meanwhile, changes nothing there when it goes on.
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
    """What `owner.json` says.

    Attributes:
        study: its identity.
        name: its name.
        store: where the store was; for people.
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
    """A study's artifacts, as one hold may write them.

    Attributes:
        artifacts: where they are.
        hold: its token.
    """

    artifacts: FolderStore
    hold: str

    def check(self) -> None:
        """Makes sure that the folder is this hold's, or nobody's yet.

        Raises:
            ArtifactsHeld: it was claimed by another.
            DepotError: the URL does not answer.
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
        """As `FolderStore.writing`, refused where the folder is not this hold's.

        Raises:
            ArtifactsHeld, DepotError: as `check`.
        """
        with self.artifacts.writing(name, check=self.check) as folder:
            yield folder

    def is_kept(self) -> bool:
        """Whether the folder is this hold's, as far as can be told."""
        try:
            self.check()
        except (ArtifactsHeld, OSError):
            return False
        return True

    def note(self, store: Store, study: str) -> None:
        """Writes into the folder whose it is, and how far the study has come.

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
        """As `note`, where it can be: what it misses, the next will write.

        Raises:
            ArtifactsHeld: the folder was claimed by another.
        """
        self.check_if_reached()
        with suppress(OSError, StoreError):
            self.note(store, study)

    def check_if_reached(self) -> None:
        """As `check`; a folder that does not answer is not known to be another's."""
        with suppress(OSError):
            self.check()


def claim_artifacts(store: Store, study: str, hold: str, *, take_over: bool = False) -> Claim:
    """Makes the study's artifacts folder this hold's.

    Args:
        store: holds the study, and is held itself.
        study: its name.
        hold: the token of the process's hold.
        take_over: whether it may be another store's, or a newer copy's of this one.

    Raises:
        ArtifactsHeld: it is, and may not.
        DepotError: the URL does not answer.
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
    """Makes sure that a new study may have the folder.

    Raises:
        ArtifactsHeld: another has its students there.
        DepotError: the URL does not answer.
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
    """Why the folder is not the study's, or no longer; empty where it is.

    Args:
        artifacts: the study's folder.
        record: the study, as the store knows it.
        extent: how far it has come, as the store knows it.
    """
    owner = read_owner(artifacts)
    if owner is None:  # of an older retort, or nobody's yet
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
    """Whose the folder is; None where it does not say so.

    A file that was cut short by a kill says nothing: the folder is judged by what it holds then.

    Raises:
        DepotError: the URL does not answer.
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
    """Whole students of trials whose numbers a store of so many has not given yet."""
    found = (_STUDENT.fullmatch(name) for name in artifacts.names())
    return [
        match[0] for match in found if match and int(match["number"]) >= trials
        and artifacts.kept(match[0])
    ]  # fmt: skip
