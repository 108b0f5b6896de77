from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from torch import Tensor, nn

from search.errors import ArtifactError, TargetError
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session
from spaces.students.timm_model import Timm
from tests.messages import naming

SHAPE = (3, 32, 32)


def _images(batch: int) -> Tensor:
    return torch.randn(batch, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", ["test_resnet", "test_efficientnet", "test_byobnet", "test_vit"])
def test_the_exported_file_predicts_as_the_network_does_at_any_batch(
    family: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Timm(model=family).build(classes=5, channels=3, image_size=32).eval()
    export_onnx(network, tmp_path / "model.onnx", image_shape=SHAPE)
    session = Session(tmp_path / "model.onnx", threads=1)
    for batch in (1, 2, 7):
        with torch.inference_mode():
            expected = network(_images(batch)).numpy()
        found = session.predict(_images(batch).numpy())
        assert found.shape == (batch, 5)
        assert np.allclose(found, expected, atol=1e-4)


def test_padding_that_depends_on_the_image_size_is_a_constant_of_the_file(tmp_path: Path) -> None:
    network = timm.create_model("tf_efficientnet_lite0", num_classes=4).eval()
    assert any(type(module).__name__ == "Conv2dSame" for module in network.modules())
    export_onnx(network, tmp_path / "model.onnx", image_shape=(3, 33, 47))
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not operators & {"Shape", "Ceil", "Div"}
    images = torch.randn(3, 3, 33, 47, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images).numpy()
    found = Session(tmp_path / "model.onnx", threads=1).predict(images.numpy())
    assert np.allclose(found, expected, atol=1e-4)


def test_a_network_in_training_mode_is_exported_as_it_predicts(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(3 * 32 * 32, 4)).train()
    export_onnx(network, tmp_path / "model.onnx", image_shape=SHAPE)
    images = _images(2)
    expected = network.eval()(images).detach().numpy()
    found = Session(tmp_path / "model.onnx", threads=1).predict(images.numpy())
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_is_there_and_does_not_start_is_no_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 7, 3))
    export_onnx(network, tmp_path / "model.onnx", image_shape=(2, 5, 7))
    known = [*onnxruntime.get_available_providers(), "CUDAExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "get_providers", lambda _: ["CPUExecutionProvider"]
    )
    with pytest.raises(TargetError, match=naming("CUDAExecutionProvider", "budget.target.device")):
        Session(tmp_path / "model.onnx", threads=1, device="cuda")


def test_a_session_tells_the_shape_of_its_images(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 7, 3))
    export_onnx(network, tmp_path / "model.onnx", image_shape=(2, 5, 7))
    assert Session(tmp_path / "model.onnx", threads=1).image_shape == (2, 5, 7)


def test_images_that_are_too_small_for_the_network_cannot_be_exported(tmp_path: Path) -> None:
    network = Timm(model="test_vit").build(classes=3, channels=3, image_size=8)
    with pytest.raises(ArtifactError, match=naming("VisionTransformer")):
        export_onnx(network, tmp_path / "model.onnx", image_shape=(3, 8, 8))


def test_an_export_that_fails_tells_why_in_a_line_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = Timm(model="volo_d1_224").build(classes=3, channels=3, image_size=64)
    with pytest.raises(ArtifactError, match=naming("VOLO", "operator")) as raised:
        export_onnx(network, tmp_path / "model.onnx", image_shape=(3, 64, 64))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
    assert capfd.readouterr() == ("", "")


def test_what_else_a_network_takes_is_left_at_its_default(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # Its `forward` passes a flag on to where none but a Python one is taken.
    network = Timm(model="eva02_tiny_patch14_224").build(classes=3, channels=3, image_size=56)
    export_onnx(network, tmp_path / "model.onnx", image_shape=(3, 56, 56))
    images = torch.randn(2, 3, 56, 56)
    with torch.inference_mode():
        expected = network(images).numpy()
    found = Session(tmp_path / "model.onnx", threads=1).predict(images.numpy())
    assert np.allclose(found, expected, atol=1e-4)
    assert "forward" not in vars(network)


@pytest.mark.parametrize("content", [b"", b"no protobuf"])
def test_a_broken_file_is_refused_by_its_path(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=naming(tmp_path / "model.onnx")):
        Session(tmp_path / "model.onnx", threads=1)


def test_a_missing_file_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=naming(tmp_path / "model.onnx")):
        Session(tmp_path / "model.onnx", threads=1)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has the provider"
)
def test_a_device_that_the_runtime_lacks_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=naming("cuda", "onnxruntime-gpu", "budget.target.device")
    ):
        Session(tmp_path / "model.onnx", threads=1, device="cuda")


def test_images_that_a_file_does_not_take_are_refused(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 7, 3))
    export_onnx(network, tmp_path / "model.onnx", image_shape=(2, 5, 7))
    session = Session(tmp_path / "model.onnx", threads=1)
    with pytest.raises(ArtifactError, match=naming(7, 8)):
        session.predict(np.zeros((1, 2, 5, 8), np.float32))
