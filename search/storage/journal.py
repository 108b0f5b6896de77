"""A journal of results that could not be stored. They are stored later, so none is lost."""

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.errors import StoreError, StoreUnavailable, StudyHeld
from search.records import (
    ArtifactRecord,
    Branch,
    EpochRecord,
    FailureRecord,
    Measurement,
    Outcome,
    StageRecord,
    TrialState,
)

Keep = Callable[[int, Outcome], object]


@dataclass(frozen=True)
class ReadBack:
    """The counts of a journal's results, after they were read back.

    Attributes:
        kept: results that the store now contains.
        damaged: lines with a wrong checksum; their trials must run again.
        refused: results that contradict the store.
    """

    kept: int = 0
    damaged: int = 0
    refused: int = 0

    def __add__(self, other: "ReadBack") -> "ReadBack":
        return ReadBack(
            self.kept + other.kept, self.damaged + other.damaged, self.refused + other.refused
        )


class Journal:
    """A file with one line for each result, with a checksum; `write` flushes it to disk.

    Args:
        path: the file's path; the file exists only while it contains results.
        spare: a second journal, used if the first can't be written, for example on a full disk.
    """

    def __init__(self, path: Path, spare: "Journal | None" = None) -> None:
        self.path = path
        self.spare = spare

    @property
    def waiting(self) -> list[Path]:
        """The existing files, which contain results to store."""
        return [one.path for one in (self, self.spare) if one is not None and one.path.exists()]

    def write(self, number: int, outcome: Outcome) -> None:
        """Append the outcome of a trial.

        Raises:
            OSError: neither journal can be written.
        """
        try:
            self._write(number, outcome)
        except OSError:
            if self.spare is None:
                raise
            self.spare.write(number, outcome)

    def _write(self, number: int, outcome: Outcome) -> None:
        entry = json.dumps({"trial": number, "outcome": asdict(outcome)}, allow_nan=False)
        line = json.dumps({"sha256": _digest(entry), "entry": entry})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: after an error of a full disk, `close` must not write the same bytes again.
        with self.path.open("ab", buffering=0) as file:
            whole = file.tell()
            try:
                # Start with a line break: the file may end with an incomplete line of a crash.
                _write_all(file, f"\n{line}\n".encode())
            except OSError:
                file.truncate(whole)
                if not whole:
                    self.path.unlink()
                raise
            os.fsync(file.fileno())
        _sync_folder(self.path.parent)

    @property
    def refused_path(self) -> Path:
        """The path of the file with the results that the store refused."""
        return self.path.with_name(f"{self.path.name}.refused")

    def read_back(self, keep: Keep) -> ReadBack:
        """Pass every result to `keep`, then remove the files.

        Args:
            keep: called with the trial's number and outcome, possibly twice for the same trial.
                Results for which it raises a StoreError are moved to `refused_path`.

        Raises:
            StoreUnavailable, StudyHeld: `keep` raised it; the file is unchanged.
        """
        found = self._read_back(keep) if self.path.exists() else ReadBack()
        return found + self.spare.read_back(keep) if self.spare else found

    def _read_back(self, keep: Keep) -> ReadBack:
        kept = damaged = 0
        refused: list[bytes] = []
        for line in self.path.read_bytes().splitlines():
            if not line.strip():
                continue
            entry = _checked(line)
            if entry is None:
                damaged += 1
                continue
            try:
                keep(entry["trial"], _outcome(entry["outcome"]))
                kept += 1
            except (StoreUnavailable, StudyHeld):
                raise
            except StoreError:
                refused.append(line)
        if refused:
            with self.refused_path.open("ab") as file:
                file.writelines(line + b"\n" for line in refused)
        self.path.unlink()
        _sync_folder(self.path.parent)
        return ReadBack(kept, damaged, len(refused))


def _checked(line: bytes) -> dict[str, Any] | None:
    """Return a line's entry; None if its checksum is wrong."""
    try:
        document = json.loads(line)
        entry = document["entry"]
        if document["sha256"] != _digest(entry):
            return None
        found: dict[str, Any] = json.loads(entry)
    except (ValueError, KeyError, TypeError):
        return None
    return found


def _digest(entry: str) -> str:
    return hashlib.sha256(entry.encode()).hexdigest()


def _outcome(values: Mapping[str, Any]) -> Outcome:
    """Return the outcome whose `asdict` has these values."""
    branches = [
        Branch(params=b["params"], outcome=_outcome(b["outcome"])) for b in values["branches"]
    ]
    records = {"artifact": ArtifactRecord, "failure": FailureRecord}
    return Outcome(
        **{
            **values,
            **{
                key: kind(**values[key]) for key, kind in records.items() if values[key] is not None
            },
            "state": TrialState(values["state"]),
            "cost": values["cost"] and _known(values["cost"]),
            "quality": {
                # Versions before 0.2 wrote values without standard errors.
                name: Measurement(**found) if isinstance(found, dict) else Measurement(found)
                for name, found in (values["quality"] or {}).items()
            },
            "stages": tuple(map(_stage, values["stages"])),
            "epochs": tuple(map(_epoch, values["epochs"])),
            "branches": tuple(branches),
        }
    )


def _stage(values: Mapping[str, Any]) -> StageRecord:
    if "cost" in values:
        return StageRecord(**values)
    own = (
        "name",
        "seconds",
        "reused",
        "no_op",
    )  # versions before 0.2 wrote each cost as a key of its own
    cost = {key: one for key, one in values.items() if key not in (*own, "accuracy")}
    return StageRecord(
        **{key: values[key] for key in own}, score=values["accuracy"], cost=_known(cost)
    )


def _epoch(values: Mapping[str, Any]) -> EpochRecord:
    renamed = {"accuracy": "score"}  # versions before 0.2 wrote the old name
    return EpochRecord(**{renamed.get(key, key): value for key, value in values.items()})


def _known(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


def _write_all(file: io.FileIO, content: bytes) -> None:
    if file.write(content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
