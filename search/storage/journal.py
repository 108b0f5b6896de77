"""A journal of results that the store could not take, kept until it can, so that none is lost."""

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
    """The numbers of results that a journal returned.

    Attributes:
        kept: results that the store now contains.
        damaged: lines that are not as they were written; their trials must be run again.
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
    """A file of results: one line each, with a checksum, on the disk before `write` returns.

    Args:
        path: the file's path; the file does not exist while there is nothing to keep.
        spare: a second file for what the first does not take: a store's disk may be full, and its
            folder with it.
    """

    def __init__(self, path: Path, spare: "Journal | None" = None) -> None:
        self.path = path
        self.spare = spare

    @property
    def waiting(self) -> list[Path]:
        """The files in which results wait."""
        return [one.path for one in (self, self.spare) if one is not None and one.path.exists()]

    def write(self, number: int, outcome: Outcome) -> None:
        """Record how a trial ended.

        Raises:
            OSError: the result can't be written.
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
        # Unbuffered: bytes that a full disk refused must not be written again at the end.
        with self.path.open("ab", buffering=0) as file:
            whole = file.tell()
            try:
                # A line that a crash cut short must not merge with this one.
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
            keep: receives the trial's number and outcome; may receive one twice. Results that it
                refuses by a StoreError are set aside.

        Raises:
            StoreUnavailable, StudyHeld: `keep` raised it; the file stays as it is.
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
    """Return a line's entry; None where the line is not as it was written."""
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
    """Return the outcome from which `asdict` made these values."""
    branches = [
        Branch(params=b["params"], outcome=_outcome(b["outcome"])) for b in values["branches"]
    ]
    held = {"artifact": ArtifactRecord, "failure": FailureRecord}
    return Outcome(
        **{
            **values,
            **{key: kind(**values[key]) for key, kind in held.items() if values[key] is not None},
            "state": TrialState(values["state"]),
            "cost": values["cost"] and _known(values["cost"]),
            "quality": {
                # Versions before 0.2 wrote values without their errors.
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
    own = ("name", "seconds", "reused", "no_op")  # as versions before 0.2 wrote it
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
