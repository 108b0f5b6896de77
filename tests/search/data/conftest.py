"""Small data sets of every kind, made of random pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search.config.data_settings import DataSettings
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.files.filestore import FolderStore


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _save_image(path: Path, *, seed: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    """A random image of so much width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng([seed, *path.name.encode("utf-8", "surrogateescape")])
    pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _fill(folder: Path, *, classes: tuple[str, ...] = ("ant", "bee"), images: int = 6) -> Path:
    """A folder of class folders; every image differs from every other."""
    for number, name in enumerate(classes):
        for index in range(images):
            _save_image(folder / name / f"{folder.name}{index}.png", seed=number)
    return folder


@pytest.fixture
def save_image() -> Callable[..., Path]:
    return _save_image


@pytest.fixture
def fill() -> Callable[..., Path]:
    return _fill


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Dataset]:
    """Prepares what the given settings say, into a cache of this test's own."""

    def _prepare(*, seed: int = 0, progress=lambda _: None, **settings: object) -> Dataset:
        settings = {"image_size": 8, "workers": 0, **settings}
        cache = FolderStore.of(tmp_path / "cache")
        return prepare(DataSettings(**settings), seed=seed, cache=cache, progress=progress)

    return _prepare
