import os
from pathlib import Path

import numpy as np
import pytest
import torch

from search.teachers.logits_file import KEPT_CLASSES, ViewLogits, bytes_of_view, reserve


def written(folder: Path, outputs: torch.Tensor) -> ViewLogits:
    """The logits of some teachers, [teachers, images, classes], written in two shuffled batches."""
    folder.mkdir()
    teachers, images, classes = outputs.shape
    file = ViewLogits.create(folder, teachers=teachers, images=images, classes=classes)
    for indices in torch.randperm(images).split(images // 2 + 1):
        file.write(indices.numpy(), outputs[:, indices])
    file.flush()
    return ViewLogits.open(folder, classes=classes)


def test_logits_of_few_classes_are_kept_whole_and_mapped(tmp_path: Path) -> None:
    outputs = torch.randn(2, 7, 5)
    found = written(tmp_path / "view", outputs)
    assert isinstance(found.logits.base, np.memmap)
    assert not found.logits.flags.writeable
    assert (found.logits.dtype, found.logits.shape) == (np.float16, (2, 7, 5))
    chosen = torch.tensor([6, 0, 6])
    assert torch.allclose(found.of(chosen), outputs[:, chosen], atol=2e-3)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_of_many_classes_the_largest_logits_and_the_mass_of_the_rest_are_kept(
    temperature: float, tmp_path: Path
) -> None:
    outputs = 3 * torch.randn(2, 9, 1000)
    found = written(tmp_path / "view", outputs)
    exact = (outputs / temperature).softmax(dim=-1)
    kept = (found.of(torch.arange(9)) / temperature).softmax(dim=-1)
    assert torch.allclose(kept.sum(dim=-1), torch.ones(2, 9))
    largest = outputs.topk(KEPT_CLASSES).indices
    apart = (kept - exact).gather(-1, largest).abs()
    # At 1 they are exact. At higher temperatures the equal shares of the rest are an approximation.
    assert apart.max() < (2e-3 if temperature == 1 else 0.08)
    divergence = (exact * (exact / kept).log()).sum(dim=-1)
    assert divergence.max() < 0.4


@pytest.mark.parametrize("classes", [3, 2 * KEPT_CLASSES, 2 * KEPT_CLASSES + 1, 1000])
def test_the_bytes_of_a_view_are_foretold(classes: int, tmp_path: Path) -> None:
    written(tmp_path / "view", torch.randn(2, 8, classes))
    size = sum(file.stat().st_size for file in (tmp_path / "view").iterdir())
    foretold = bytes_of_view(teachers=2, images=8, classes=classes)
    assert foretold <= size <= foretold + 3 * 128  # the headers


def test_logits_beyond_half_precision_stay_finite(tmp_path: Path) -> None:
    outputs = torch.tensor([[[1e6, -1e6, 0.0]]])
    found = written(tmp_path / "view", outputs)
    assert found.of(torch.tensor([0])).tolist() == [[[65504.0, -65504.0, 0.0]]]


def test_where_the_system_reserves_no_room_the_file_takes_it_by_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    outputs = torch.randn(1, 40_000, 5)
    before = written(tmp_path / "here", outputs)
    monkeypatch.delattr(os, "posix_fallocate")
    after = written(tmp_path / "there", outputs)
    assert np.array_equal(after.logits, before.logits)
    file = tmp_path / "there" / "logits.npy"
    assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_room_is_taken_before_anything_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, has_call in (("linux", True), ("macos", False)):
        if not has_call:
            monkeypatch.delattr(os, "posix_fallocate")
        file = tmp_path / name
        np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(3, 1_000_000))
        assert file.stat().st_blocks * 512 < file.stat().st_size
        reserve(file)
        assert file.stat().st_blocks * 512 >= file.stat().st_size
        assert not np.load(file).any()
