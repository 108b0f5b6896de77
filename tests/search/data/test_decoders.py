"""Processes that decode images: what they give, and when they end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil
import pytest
import torch

from search.data import decoders
from search.data.dataset import Dataset
from search.data.prepared import open_dataset
from search.data.views.augmentation import Augmentation
from search.data.views.view import View
from search.errors import DataError
from tests.messages import naming

VIEW = View(number=0, seed=0, augmentation=Augmentation(shift=0.25, flip=True))
Prepared = Callable[..., Dataset]
Fill = Callable[..., Path]

# Reads a batch with two processes, prints their ids, and is then killed.
_KILLED = """
import os, signal, sys
from pathlib import Path
import psutil
from search.data.prepared import open_dataset
data = open_dataset(Path(sys.argv[1]), workers=2)
for batch in data.training.batches(8):
    children = [child.pid for child in psutil.Process().children()]
    print(*children, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path, fill: Fill) -> Path:
    return fill(tmp_path / "data", images=20)


@pytest.fixture
def data(prepared: Prepared, folder: Path) -> Dataset:
    """A data set whose images this process decodes."""
    return prepared(source="folder", path=folder, in_memory="1B")


@pytest.fixture
def ahead(data: Dataset) -> Dataset:
    """The same data set, whose images two processes decode."""
    return open_dataset(data.folder, workers=2)


def _images(dataset: Dataset, batch_size: int = 5, **options: object) -> torch.Tensor:
    batches = dataset.training.batches(batch_size, **options)  # type: ignore[arg-type]
    return torch.cat([batch.images for batch in batches])


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _decodes(child)]


def _decodes(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
        return any(decoders._MODULE in text for text in process.cmdline())
    return False


def _have_ended(pids: list[int]) -> bool:
    for _ in range(200):
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("view", [None, VIEW], ids=["unaugmented", "view"])
def test_processes_decode_the_same_images_in_the_same_order(
    data: Dataset, ahead: Dataset, view: View | None
) -> None:
    order = torch.randperm(28, generator=torch.Generator().manual_seed(1))
    here, there = (_images(one, order=order, view=view) for one in (data, ahead))
    assert torch.equal(here, there)


def test_images_are_decoded_at_another_size(data: Dataset, ahead: Dataset) -> None:
    here, there = (_images(one, view=VIEW, image_size=6) for one in (data, ahead))
    assert there.shape == (28, 3, 6, 6)
    assert torch.equal(here, there)


def test_two_readings_at_once_get_their_own_images(data: Dataset, ahead: Dataset) -> None:
    pairs = zip(ahead.training.batches(5, view=VIEW), ahead.training.batches(5), strict=True)
    both = [(one.images, other.images) for one, other in pairs]
    assert torch.equal(torch.cat([one for one, _ in both]), _images(data, view=VIEW))
    assert torch.equal(torch.cat([other for _, other in both]), _images(data))


def test_a_reading_that_is_left_early_does_not_disturb_the_next(
    data: Dataset, ahead: Dataset
) -> None:
    list(islice(ahead.training.batches(2), 2))
    assert torch.equal(_images(ahead), _images(data))


def test_processes_stay_for_the_next_epoch(ahead: Dataset) -> None:
    _images(ahead)
    before = _children()
    _images(ahead)
    assert len(before) == 2
    assert _children() == before


def test_processes_end_when_they_are_told_to_and_start_again(data: Dataset, ahead: Dataset) -> None:
    _images(ahead)
    pids = [child.pid for child in _children()]
    ahead.end_decoding()
    assert _have_ended(pids)
    assert torch.equal(_images(ahead), _images(data))


def test_processes_end_when_nobody_asks(ahead: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "_IDLE_S", 0.1)
    _images(ahead)
    assert _have_ended([child.pid for child in _children()])


def test_processes_end_with_a_process_that_is_killed(data: Dataset) -> None:
    command = [sys.executable, "-c", _KILLED, str(data.folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    assert _have_ended(pids)


def test_a_killed_process_is_replaced(data: Dataset, ahead: Dataset) -> None:
    _images(ahead)
    for child in _children():
        child.kill()
    assert torch.equal(_images(ahead), _images(data))


def test_a_process_that_always_dies_is_an_error(
    ahead: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "_START", "raise SystemExit(3)")
    with pytest.raises(DataError, match=naming("exit code 3", "training", "data.workers")):
        _images(ahead)


def test_a_damaged_image_is_named(ahead: Dataset, folder: Path) -> None:
    for file in (folder / "ant").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"ant/data\d+\.png"):
        _images(ahead)


def test_a_fault_of_our_own_has_the_traceback_of_the_process(ahead: Dataset) -> None:
    (ahead.folder / "info.json").write_text("{}")
    with pytest.raises(RuntimeError, match="KeyError"):
        _images(ahead)


def test_no_process_starts_where_all_pixels_are_in_memory(prepared: Prepared, folder: Path) -> None:
    before = _children()
    held = prepared(source="folder", path=folder, workers=2)
    _images(held, view=VIEW)
    assert not {*_children()} - {*before}


def test_a_process_that_decodes_needs_no_torch() -> None:
    text = "import sys, search.data.decoding; print('torch' in sys.modules, 'timm' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_reading_does_not_change_torchs_random_state(ahead: Dataset) -> None:
    before = torch.random.get_rng_state()
    _images(ahead, view=VIEW)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture(autouse=True)
def _none_left(data: Dataset, ahead: Dataset) -> object:
    before = {*_children()}  # of other tests, which end when nobody asks
    yield
    ahead.end_decoding()
    for _ in range(200):
        if not {*_children()} - before:
            return
        time.sleep(0.1)
    pytest.fail("a process that decodes did not end")
