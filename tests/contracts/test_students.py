"""What every student promises."""

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import _registry

from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import OnnxRuntime
from spaces import registry
from spaces.axes.student import Student
from spaces.pruning.structured.classifier import classifier_layers
from spaces.students.timm_model import Timm
from tests.messages import naming

STUDENTS = [
    *(pytest.param(method(), id=name) for name, method in registry.methods("student").items()),
    *(
        pytest.param(Timm(model=model), id=model)
        for model in ("test_efficientnet", "test_byobnet", "test_vit")
    ),
    pytest.param(Timm(stem="small"), id="small-stem"),
]
over_students = pytest.mark.parametrize("student", STUDENTS)


@over_students
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_size", [32, 48])
def test_takes_the_images_and_gives_logits_of_the_classes(
    student: Student, channels: int, image_size: int
) -> None:
    network = student.build(classes=7, channels=channels, image_size=image_size)
    images = torch.randn(2, channels, image_size, image_size)
    assert network.eval()(images).shape == (2, 7)


@over_students
def test_random_weights_come_from_torchs_generator(student: Student) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        network = student.build(classes=3, channels=1, image_size=32)
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@over_students
def test_a_blank_one_has_the_shapes_of_one_that_is_not(student: Student) -> None:
    shapes = [
        {
            key: value.shape
            for key, value in student.build(classes=3, channels=1, image_size=32, blank=blank)
            .state_dict()
            .items()
        }
        for blank in (False, True)
    ]
    assert shapes[0] == shapes[1]


@over_students
def test_its_state_is_all_that_a_rebuilt_one_needs(student: Student) -> None:
    trained = student.build(classes=3, channels=1, image_size=32)
    images = torch.randn(8, 1, 32, 32)
    trained.train()(images)  # moves the statistics of normalisation
    rebuilt = student.build(classes=3, channels=1, image_size=32, blank=True)
    rebuilt.load_state_dict(trained.state_dict())
    assert torch.equal(rebuilt.eval()(images), trained.eval()(images))


@over_students
def test_its_file_gives_its_logits(student: Student, tmp_path: Path) -> None:
    network = student.build(classes=3, channels=1, image_size=32).eval()
    export_onnx(network, tmp_path / "model.onnx", image_shape=(1, 32, 32))
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = network(images).numpy()
    found = OnnxRuntime().load(tmp_path / "model.onnx", threads=1).predict(images.numpy())
    assert found == pytest.approx(expected, abs=1e-3)


@over_students
def test_pruning_finds_the_layers_that_compute_its_logits(student: Student) -> None:
    network = student.build(classes=3, channels=1, image_size=32).eval()
    layers = classifier_layers(network, torch.zeros(1, 1, 32, 32))
    assert {layer.weight.shape[0] for layer in layers if hasattr(layer, "weight")} == {3}


@over_students
def test_timm_builds_it_from_the_name_if_it_says_so(student: Student) -> None:
    own = student.build(classes=3, channels=1, image_size=32).state_dict()
    if student.timm_model is None:
        assert not student.is_timms_own
        return
    fixed = timm.get_pretrained_cfg(student.timm_model).fixed_input_size
    size = {"img_size": 32} if fixed else {}
    known = timm.create_model(student.timm_model, num_classes=3, in_chans=1, **size).state_dict()
    assert {key: value.shape for key, value in own.items()} == {
        key: value.shape for key, value in known.items()
    }


def test_a_name_that_timm_does_not_know_is_refused_with_one_that_comes_near() -> None:
    with pytest.raises(ValueError, match=naming("'resnet81'", "'resnet18'")):
        Timm(model="resnet81").build(classes=3, channels=1, image_size=32)


def test_weights_that_timm_does_not_know_are_refused_with_those_that_it_does() -> None:
    student = Timm(model="resnet18.a9_in1k")
    with pytest.raises(ValueError, match=naming("'resnet18.a9_in1k'", "'resnet18.a1_in1k'")):
        student.build(classes=3, channels=1, image_size=32)


def test_weights_that_timm_does_not_have_are_a_contradiction(recipe) -> None:
    assert recipe(student=Timm(model="test_resnet", pretrained=True)).conflict() is None
    conflict = recipe(student=Timm(model="test_vit4", pretrained=True)).conflict()
    assert naming("student.timm", "pretrained", "test_vit4").search(str(conflict))


@pytest.mark.parametrize("stem", ["original", "small"])
def test_pretrained_weights_are_read_whatever_the_classes_the_colours_and_the_stem(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(7)
    known = timm.create_model("test_resnet")
    save_file(known.state_dict(), tmp_path / "model.safetensors")
    # As if timm kept them in a file, and not on a hub.
    cfg = timm.get_pretrained_cfg("test_resnet")
    here = replace(cfg, hf_hub_id=None, file=str(tmp_path / "model.safetensors"))
    monkeypatch.setitem(_registry._model_pretrained_cfgs, "test_resnet", here)
    student = Timm(model="test_resnet", pretrained=True, stem=stem)
    found = student.build(classes=3, channels=1, image_size=32).state_dict()
    assert found["fc.weight"].shape[0] == 3
    # Grey images take the sum of the colours' weights.
    expected = known.state_dict()["conv1.0.weight"].sum(dim=1, keepdim=True)
    assert torch.allclose(found["conv1.0.weight"], expected)
    for key, value in known.state_dict().items():
        if not key.startswith("fc.") and key != "conv1.0.weight":
            assert torch.equal(found[key], value), key


def test_images_that_are_too_small_to_build_it_for_are_refused() -> None:
    with pytest.raises(ValueError, match=naming("gcvit_xxtiny", 8)):
        Timm(model="gcvit_xxtiny").build(classes=3, channels=3, image_size=8)
