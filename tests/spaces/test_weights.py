"""timm's pretrained weights, with and without a hub that answers."""

import logging
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from spaces.students.timm_model import Timm
from spaces.students.weights import WeightsUnavailable, check_weights
from tests.messages import naming

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that does not answer."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", NOBODY + "/{repo_id}/{revision}/{filename}"
    )
    return tmp_path / "hub"


def _build() -> torch.nn.Module:
    return Timm(model="test_resnet", pretrained=True).build(classes=3, channels=3, image_size=32)


def test_weights_that_cannot_be_had_are_told_at_once_and_once(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(WeightsUnavailable, match=naming("test_resnet", cache, NOBODY)),
    ):
        _build()
    assert caplog.records == []
    assert time.monotonic() - began < 20  # the hub's client would wait for 30 s a file


def test_weights_that_may_not_be_downloaded_are_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match=naming("test_resnet", "HF_HUB_OFFLINE")):
        check_weights("test_resnet")


def test_weights_in_the_cache_need_no_hub(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = timm.create_model("test_resnet")
    repository = cache / f"models--{timm.get_pretrained_cfg('test_resnet').hf_hub_id}".replace(
        "timm/", "timm--"
    )
    for folder in ("refs", "snapshots/abc"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    save_file(known.state_dict(), repository / "snapshots/abc/model.safetensors")
    with caplog.at_level(logging.WARNING):
        found = _build()
    assert caplog.records == []
    assert torch.equal(found.state_dict()["conv1.0.weight"], known.state_dict()["conv1.0.weight"])
    assert constants.HF_HUB_OFFLINE is False


def test_a_model_without_pretrained_weights_is_no_matter_of_the_hub() -> None:
    check_weights("test_vit4")
