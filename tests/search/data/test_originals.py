"""Images in memory, which a teacher of a larger resolution sees as their files are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from search.data.dataset import Dataset
from search.data.images import load_image
from search.data.notes import storage_text
from search.data.stored_part import Placement
from search.data.views.augmentation import Augmentation
from search.data.views.rendering import resize_batch
from search.data.views.view import View
from tests.messages import naming

SMALL, LARGE = 16, 48


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Broad waves, each another one, with fine stripes that only a large image shows."""
    rows, columns = np.mgrid[:120, :160]
    for number in range(24):
        waves = 60 * np.sin((rows + 2 * columns + 17 * number) / 25) + 40 * (columns % 8 < 4)
        image = Image.fromarray((100 + waves).clip(0, 255).astype(np.uint8)).convert("RGB")
        folder = tmp_path / "data" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:02}.png")
    return tmp_path / "data"


def _seen(dataset: Dataset, size: int | None, view: View | None = None) -> Tensor:
    batches = dataset.training.batches(5, view=view, image_size=size)
    return torch.cat([batch.images for batch in batches])


def test_without_a_view_they_are_as_an_export_reads_them(
    files: Path, prepared: Callable[..., Dataset]
) -> None:
    held = prepared(source="folder", path=files, image_size=SMALL)
    pictures = held.training.originals.pictures  # type: ignore[attr-defined]
    expected = [load_image(files / pictures.name(i), LARGE, 3) for i in range(len(pictures))]
    assert torch.equal(_seen(held, LARGE), torch.from_numpy(np.stack(expected)))
    assert torch.equal(_seen(held, None), torch.tensor(held.training.pixels))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(shift=0.2, flip=True),
        Augmentation(scale=(0.3, 1.0), ratio=(0.75, 1.33), flip=True, rotation=10, color=0.3),
    ],
)
def test_a_view_shows_the_same_places_with_the_detail_of_the_file(
    augmentation: Augmentation, files: Path, prepared: Callable[..., Dataset]
) -> None:
    held = prepared(source="folder", path=files, image_size=SMALL)
    view = View(3, 7, augmentation)
    small, large = _seen(held, None, view), _seen(held, LARGE, view)
    assert large.shape[2:] == (LARGE, LARGE)
    apart = (resize_batch(large, SMALL).int() - small.int()).abs().float()
    assert apart.mean() < 8
    # Enlarged pixels have no stripes.
    assert _detail(large) > 1.5 * _detail(resize_batch(small, LARGE))


def test_where_an_array_is_all_there_is_its_pixels_are_enlarged(
    tmp_path: Path, prepared: Callable[..., Dataset]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, SMALL, SMALL), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 2)
    held = prepared(source="npz", path=tmp_path / "a.npz", image_size=SMALL)
    assert torch.equal(_seen(held, LARGE), resize_batch(_seen(held, None), LARGE))


def test_an_array_that_is_not_resized_before_takes_its_own_room(
    tmp_path: Path, prepared: Callable[..., Dataset]
) -> None:
    images = np.zeros((40, LARGE, LARGE), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 2)
    streamed = prepared(source="npz", path=tmp_path / "a.npz", image_size=SMALL, in_memory="1B")
    assert {one.placement for one in streamed.stored.values()} == {Placement.ARRAY}
    assert sum(one.bytes for one in streamed.stored.values()) == images.nbytes
    assert naming("array", "92.2 KB").search(storage_text(streamed.stored))


def test_what_is_trained_follows_from_how_images_are_stored_and_not_from_names(
    files: Path, prepared: Callable[..., Dataset]
) -> None:
    held = prepared(source="folder", path=files, image_size=SMALL)
    streamed = prepared(source="folder", path=files, image_size=SMALL, in_memory="1B")
    named = prepared(source="folder", path=files, image_size=SMALL, class_names={"class0": "ant"})
    assert held.info.digest == streamed.info.digest
    assert held.key != streamed.key
    assert held.folder != named.folder
    assert held.key == named.key


def _detail(images: Tensor) -> float:
    """Return the mean difference of neighbouring pixels."""
    return (images.float().diff(dim=3)).abs().mean().item()
