"""The cache of computed stages: no stage is computed twice.

A stage is a network after its training, after a pruning and its recovery, or after tuning for its
number format. `search.pipeline.lineage` computes its key, the hash of everything that the stage
depends on. A folder holds

    KEY/          a stage: weights.safetensors, stage.json (cuts, learning curve, records)
    KEY-N.part/   the stage's training N, in progress: its last checkpoint
    pins/OWNER    the keys of the stages of a study's frontier, one on each line

Each entry is written atomically. A damaged entry is computed again. When the cache exceeds its
limit in bytes, the least recently used entries are deleted first. Pinned entries are not deleted.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from search.evaluation.artifact import write_tensors
from search.files.atomic import damaged_files, written_whole
from search.records import EpochRecord, StageRecord
from search.training.checkpoint import Checkpoint
from spaces.axes.pruning import Cut
from spaces.pruning.structured.cuts import read_cuts

_WEIGHTS = "weights.safetensors"
_STAGE = "stage.json"
_PART = ".part"
_PINS = "pins"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A computed stage: its cuts, its records, and the weights by name."""

    cuts: tuple[Cut, ...]
    stages: tuple[StageRecord, ...]
    epochs: tuple[EpochRecord, ...]
    weights: Mapping[str, Tensor]


class StageCache:
    """A cache of stages in a folder that any number of processes may share.

    Args:
        folder: the folder; the first write creates it.
        limit_bytes: the maximum size of the cache, without pinned stages; 0 caches no stage.
    """

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes

    def read(self, key: str) -> Stage | None:
        """Return the stage; None where it is missing or damaged."""
        folder = self._folder / key
        try:
            if not self._limit or damaged_files(folder):
                return None
            with suppress(OSError):  # the cache may be read-only
                os.utime(folder)
            document = json.loads((folder / _STAGE).read_text())
            return Stage(
                cuts=read_cuts(document["cuts"]),
                stages=tuple(StageRecord(**record) for record in document["stages"]),
                epochs=tuple(EpochRecord(**record) for record in document["epochs"]),
                weights=load_file(folder / _WEIGHTS),
            )
        # Another process may be deleting the stage at this moment.
        except (OSError, SafetensorError):
            return None

    def write(self, key: str, stage: Stage) -> None:
        """Store a stage and delete old ones to make room; without room, store nothing."""
        if self._limit:
            with suppress(OSError, SafetensorError):
                self._write(key, stage)

    def _write(self, key: str, stage: Stage) -> None:
        document = {
            "cuts": stage.cuts,
            "stages": [asdict(record) for record in stage.stages],
            "epochs": [asdict(record) for record in stage.epochs],
        }
        with written_whole(self._folder / key, durable=False) as folder:
            write_tensors(folder / _WEIGHTS, stage.weights)
            (folder / _STAGE).write_text(json.dumps(document))
        for part in self._folder.glob(f"{key}*{_PART}"):
            shutil.rmtree(part, ignore_errors=True)
        self._trim(keep=key)

    def checkpoint(self, key: str, place: int = 0) -> Checkpoint | None:
        """Return the checkpoint of a training of the stage; None if the cache stores nothing.

        Args:
            key: the stage's key.
            place: the number of the training within the stage, from 0.
        """
        return Checkpoint(self._folder / f"{key}-{place}{_PART}") if self._limit else None

    def pin(self, owner: str, keys: Iterable[str]) -> None:
        """Replace the owner's pins with these stages; do nothing if the file can't be written."""
        pins = self._folder / _PINS
        beside = pins / f".{owner}.{os.getpid()}"
        with suppress(OSError):
            pins.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_text("\n".join(sorted(keys)))
                beside.replace(pins / owner)
            finally:
                beside.unlink(missing_ok=True)

    def _trim(self, keep: str) -> None:
        pinned = {keep}
        for file in (self._folder / _PINS).glob("[!.]*"):
            pinned.update(file.read_text().split())
        entries = sorted(
            (entry for entry in self._entries() if entry.folder.name not in pinned),
            key=lambda entry: entry.used_at,
        )
        excess = sum(entry.size_bytes for entry in entries) - self._limit
        for entry in entries:
            if excess <= 0:
                break
            shutil.rmtree(entry.folder, ignore_errors=True)
            excess -= entry.size_bytes

    def _entries(self) -> "Iterable[_Entry]":
        for folder in self._folder.iterdir():
            if folder.name == _PINS or folder.name.startswith("."):
                continue  # a folder whose name begins with a dot is not yet complete
            with suppress(FileNotFoundError):
                size = sum(file.stat().st_size for file in folder.iterdir())
                yield _Entry(folder, size, folder.stat().st_mtime)


@dataclass(frozen=True)
class _Entry:
    folder: Path
    size_bytes: int
    used_at: float
