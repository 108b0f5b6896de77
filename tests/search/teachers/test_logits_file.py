import os
from pathlib import Path

import numpy as np
import pytest
import torch

from search.teachers.logits_file import KEPT_CLASSES, ViewLogits, bytes_of_view, reserve
from spaces.distillation.standardization import standardized


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
@pytest.mark.parametrize("scale", [1.5, 3.0])
def test_of_many_classes_the_largest_logits_and_the_mass_of_the_rest_are_kept(
    temperature: float, scale: float, tmp_path: Path
) -> None:
    outputs = scale * torch.randn(2, 9, 1000)
    outputs[..., 7] = 6 * scale
    found = written(tmp_path / "view", outputs).of(torch.arange(9))
    largest = outputs.topk(KEPT_CLASSES).indices
    assert torch.allclose(found.gather(-1, largest), outputs.gather(-1, largest), rtol=2e-3)
    exact, kept = (found_or_given.softmax(dim=-1).gather(-1, largest).sum(dim=-1)
                   for found_or_given in (outputs / temperature, found / temperature))  # fmt: skip
    # At 1 it is exact. At others it follows from the mean and the spread of the rest.
    assert torch.allclose(kept, exact, rtol=5e-3 if temperature == 1 else 0.05)


def test_of_many_classes_standardised_logits_are_nearly_those_of_all(tmp_path: Path) -> None:
    outputs = 2 * torch.randn(1, 9, 1000) + 3
    outputs[..., 7] += 10
    found = standardized(written(tmp_path / "view", outputs).of(torch.arange(9)))
    largest = outputs.topk(KEPT_CLASSES).indices
    exact = standardized(outputs).gather(-1, largest)
    assert torch.allclose(found.gather(-1, largest), exact, rtol=0.05)


def test_which_of_the_other_classes_is_more_likely_differs_from_image_to_image(
    tmp_path: Path,
) -> None:
    outputs = torch.randn(1, 500, 300)
    found = written(tmp_path / "view", outputs).of(torch.arange(500))
    # Over many images, no class is preferred: the means are those of the classes themselves.
    assert (found.mean(dim=1) - outputs.mean(dim=1)).abs().max() < 0.25


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
