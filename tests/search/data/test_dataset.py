import json

import pytest
import torch

from search.data.dataset import DataInfo, PartSizes, normalize
from search.data.views.augmentation import Augmentation


def test_information_survives_json():
    info = DataInfo(
        source="folder",
        classes=("ant", "bee"),
        channels=3,
        image_size=8,
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 2.0, 3.0),
        augmentation=Augmentation(shift=0.1, flip=True, scale=(0.5, 1.0)),
        digest="0f",
        sizes=PartSizes(training=3, validation=2, test=1),
        corrupt=("a.png",),
        repeated=1,
    )
    assert DataInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_normalizing_is_scaling_centering_and_dividing():
    images = torch.tensor([[[[0, 255]], [[51, 102]]]], dtype=torch.uint8)
    normal = normalize(images, mean=(0.5, 0.2), std=(0.5, 0.1))
    assert normal.dtype == torch.float32
    assert normal.flatten().tolist() == pytest.approx([-1, 1, 0, 2], abs=1e-6)
