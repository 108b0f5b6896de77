"""Operators that are computed by others, against torch's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.targets.onnx_decomposition import Decomposed
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session

Compute = Callable[[Tensor], Tensor]
WEIGHT = torch.linspace(0.5, 2.0, 11)
COMPUTED: dict[str, Compute] = {
    "average to one": lambda images: functional.adaptive_avg_pool2d(images, 1),
    "average to a part": lambda images: functional.adaptive_avg_pool2d(images, (3, 11)),
    "average of overlaps": lambda images: functional.adaptive_avg_pool2d(images, (5, 4)),
    "average to more": lambda images: functional.adaptive_avg_pool2d(images, 13),
    "average of a side": lambda images: functional.adaptive_avg_pool2d(images, (None, 2)),
    "largest of a part": lambda images: functional.adaptive_max_pool2d(images, (3, 1)),
    "largest of overlaps": lambda images: functional.adaptive_max_pool2d(images, (5, 4)),
    "windows": lambda images: images.unfold(2, 4, 2).unfold(-2, 3, 1).flatten(1),
    "root mean square": lambda images: functional.rms_norm(images, (11,), WEIGHT, 1e-6),
    "root mean square, plain": lambda images: functional.rms_norm(images, (9, 11)),
}


def _images(count: int) -> Tensor:
    return torch.randn(count, 2, 9, 11, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", COMPUTED)
def test_the_results_are_torchs(name: str) -> None:
    expected = COMPUTED[name](_images(2))
    with Decomposed():
        found = COMPUTED[name](_images(2))
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)


class _Computed(nn.Module):
    """An operator, of images whose sizes the exporter has lost sight of."""

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self._compute = compute

    def forward(self, images: Tensor) -> Tensor:
        return self._compute(images.flatten(1).unflatten(1, images.shape[1:]) * self.scale)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_exported_file_gives_torchs_results_at_any_batch(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(_Computed(COMPUTED[name]), path, image_shape=(2, 9, 11))
    session = Session(path, threads=1)
    for count in (1, 3):
        found = session.predict(_images(count).numpy())
        assert np.allclose(found, COMPUTED[name](_images(count)).numpy(), atol=1e-5)
