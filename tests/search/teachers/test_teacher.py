import importlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset, normalize
from search.errors import TeacherError
from search.evaluation.artifact import Provenance, write_student
from search.files.atomic import written_whole
from search.files.filestore import FolderStore
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY
from search.teachers.prepared import Teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from search.training.validation import predictions_of
from spaces.pruning.magnitude import Magnitude
from tests.messages import naming


class _Room:
    """A classroom, and what was said in it."""

    def __init__(self, dataset: Dataset, cache: Path) -> None:
        self.said: list[str] = []
        self.dataset, self.cache, self.metric = dataset, cache, ACCURACY

    def prepare(self, *members: dict[str, object], seed: int = 0, allow: bool = False) -> Teacher:
        room = TeacherContext(
            dataset=self.dataset,
            cache=FolderStore.of(self.cache),
            seed=seed,
            device="cpu",
            metric=self.metric,
            allow_code=allow,
            progress=self.said.append,
        )
        return prepare_teacher([TeacherSettings(**member) for member in members], room)  # type: ignore[arg-type]

    @torch.inference_mode()
    def logits(self, network: nn.Module) -> Tensor:
        return network(self.images())

    def images(self) -> Tensor:
        (batch,) = self.dataset.validation.batches(64)
        return normalize(batch.images, self.dataset.info.mean, self.dataset.info.std)


@pytest.fixture
def room(stripes: Dataset, tmp_path: Path) -> _Room:
    return _Room(stripes, tmp_path / "cache")


@pytest.fixture
def checkpoint(schooled: nn.Module, tmp_path: Path) -> Path:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def _settings(checkpoint: Path, **more: object) -> dict[str, object]:
    return {"model": "test_resnet", "checkpoint": checkpoint, **more}


@pytest.mark.parametrize("kind", ["safetensors", "pth", "state_dict"])
def test_a_local_checkpoint_gives_the_network_that_was_saved(
    kind: str, room: _Room, schooled: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / f"teacher.{kind}"
    if kind == "safetensors":
        save_file(schooled.state_dict(), path)
    else:
        weights = schooled.state_dict()
        torch.save({"state_dict": weights} if kind == "state_dict" else weights, path)
    teacher = room.prepare(_settings(path))
    assert torch.equal(room.logits(teacher.network), room.logits(schooled))
    assert not teacher.network.training
    assert not any(p.requires_grad for p in teacher.network.parameters())


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_fault_19_a_pickle_with_a_payload_is_refused_and_not_run(
    how: str, room: _Room, tmp_path: Path
) -> None:
    path, trace = tmp_path / "teacher.pth", tmp_path / "ran"
    if how == "torch":
        torch.save({"state_dict": {"fc.weight": _Payload(trace)}}, path)
    else:
        path.write_bytes(pickle.dumps(_Payload(trace), protocol=2))
    with pytest.raises(TeacherError, match=naming(path, "state_dict()")) as caught:
        room.prepare(_settings(path))
    assert "weights_only=False" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["teacher.safetensors", "teacher.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_broken_checkpoint_is_refused_by_its_path(
    content: bytes, name: str, room: _Room, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TeacherError, match=naming(tmp_path / name)):
        room.prepare(_settings(tmp_path / name))


def test_a_checkpoint_that_is_not_there_is_refused_by_its_path(room: _Room, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=naming("teacher.checkpoint", tmp_path / "none.pth")):
        room.prepare(_settings(tmp_path / "none.pth"))


def test_a_checkpoint_of_another_network_is_refused(room: _Room, checkpoint: Path) -> None:
    with pytest.raises(TeacherError, match=naming(checkpoint)):
        room.prepare(_settings(checkpoint, model="test_vit"))


def test_a_checkpoint_of_which_nothing_fits_is_refused_before_training(
    room: _Room, checkpoint: Path
) -> None:
    with pytest.raises(TeacherError, match=naming(checkpoint)):
        room.prepare(_settings(checkpoint, model="test_vit", train={"epochs": 1}))


def test_an_unknown_model_is_refused_with_one_that_comes_near(room: _Room) -> None:
    with pytest.raises(TeacherError, match=naming("teacher.model", "'resnet81'", "'resnet18'")):
        room.prepare({"model": "resnet81", "train": {}})


PRETRAINED = """
import sys
from pathlib import Path
import torch
from search.config.teacher_settings import TeacherSettings
from search.data.prepare import open_dataset
from search.errors import TeacherError
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
room = TeacherContext(
    dataset=open_dataset(Path(sys.argv[1])), cache=FolderStore.of(sys.argv[2]), seed=0,
    device="cpu", metric=ACCURACY, allow_code=False, progress=print,
)
settings = TeacherSettings.model_validate_json(sys.argv[3])
try:
    teacher = prepare_teacher([settings], room)
except TeacherError as error:
    print("refused:", error)
else:
    torch.save(teacher.network.state_dict(), sys.argv[4])
"""


def _offline(hub: Path, room: _Room, **settings: object) -> str:
    """What comes of a pretrained teacher in a process without a network, with this hub's cache."""
    given = {"model": "test_resnet", "pretrained": True, **settings}
    environment = {**os.environ, "HF_HOME": str(hub), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", PRETRAINED, str(room.dataset.folder), str(room.cache)]
    weights = str(hub.with_suffix(".pth"))
    done = subprocess.run(
        [*command, json.dumps(given), weights],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def hub(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A hub's cache that holds test_resnet, and what it holds."""
    torch.manual_seed(7)
    network = timm.create_model("test_resnet", num_classes=1000, in_chans=3)
    repository = tmp_path / "hub" / "hub" / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    return tmp_path / "hub", network


def test_pretrained_weights_come_from_the_hubs_cache_without_a_network(
    room: _Room, hub: tuple[Path, nn.Module]
) -> None:
    folder, network = hub
    said = _offline(folder, room, train={"epochs": 1, "learning_rate": 1e-5, "weight_decay": 0.0})
    found = torch.load(folder.with_suffix(".pth"), weights_only=True)
    # The classes are new and the colours summed to grey; the rest hardly moves at this rate.
    for name, given in network.named_parameters():
        if name not in ("fc.weight", "fc.bias", "conv1.0.weight"):
            assert torch.allclose(found[f"network.{name}"], given, atol=2e-3), name
    assert naming("epoch", "1 of 1").search(said)


def test_fault_24_pretrained_weights_of_other_classes_are_refused(
    room: _Room, hub: tuple[Path, nn.Module]
) -> None:
    said = _offline(hub[0], room)
    assert naming(3, "[2, 1000]", "train: {}").search(said)


def test_pretrained_weights_that_are_out_of_reach_are_refused_with_three_ways_out(
    room: _Room, tmp_path: Path
) -> None:
    said = _offline(tmp_path / "nothing", room)
    assert naming("refused", "test_resnet", "checkpoint:", "HF_HOME", "train: {}").search(said)


def test_an_exported_student_can_teach(
    room: _Room, schooled: nn.Module, stripes: Dataset, recipe, tmp_path: Path
) -> None:
    pruned, cuts = Magnitude(ratio=0.3).apply(schooled, torch.zeros(1, 1, 32, 32))
    provenance = Provenance(
        params=recipe().to_params(), cuts=tuple(cuts), data=stripes.info, origin={}
    )
    with written_whole(tmp_path / "student") as folder:
        write_student(folder, pruned, provenance)
    teacher = room.prepare({"exported": tmp_path / "student"})
    assert torch.equal(room.logits(teacher.network), room.logits(pruned.eval()))


MADE_HERE = """
from pathlib import Path
import timm
Path({trace!r}).touch()
def make(*, classes, channels, image_size):
    return timm.create_model("test_resnet", num_classes=classes, in_chans=channels)
def make_nothing(**_):
    return None
"""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that appears when the module `made_here` is run."""
    trace = tmp_path / "ran"
    (tmp_path / "made_here.py").write_text(MADE_HERE.format(trace=str(trace)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_here", raising=False)
    return trace


def test_a_factory_is_not_run_unless_code_is_allowed(room: _Room, trace: Path) -> None:
    with pytest.raises(
        TeacherError, match=naming("teacher.factory", "made_here:make", "--allow-code")
    ):
        room.prepare({"factory": "made_here:make"})
    assert not trace.exists()


def test_a_factory_makes_the_teacher_where_code_is_allowed(room: _Room, trace: Path) -> None:
    teacher = room.prepare({"factory": "made_here:make"}, allow=True)
    assert trace.exists()
    assert room.logits(teacher.network).shape == (36, 3)


@pytest.mark.parametrize(
    ("factory", "fact"),
    [
        ("made_here:make_nothing", "NoneType"),
        ("made_here:absent", "teacher.factory"),
        ("made_here", "teacher.factory"),
        ("not_there:make", "teacher.factory"),
        ("not_there.py:make", "teacher.factory"),
    ],
)
def test_a_factory_that_gives_no_network_is_refused(
    factory: str, fact: str, room: _Room, trace: Path
) -> None:
    with pytest.raises(TeacherError, match=naming(factory, fact)):
        room.prepare({"factory": factory}, allow=True)


def test_an_ensemble_predicts_the_mean_of_its_members(
    room: _Room, checkpoint: Path, schooled: nn.Module, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    other = timm.create_model("test_resnet", num_classes=3, in_chans=1).eval()
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    teacher = room.prepare(_settings(checkpoint), _settings(tmp_path / "other.safetensors"))
    mean = (room.logits(schooled).softmax(1) + room.logits(other).softmax(1)) / 2
    assert torch.allclose(room.logits(teacher.network).softmax(1), mean, atol=1e-6)
    assert teacher.name.count("test_resnet") == 2


def test_other_pixels_are_adapted_as_by_hand(
    room: _Room, checkpoint: Path, schooled: nn.Module
) -> None:
    teacher = room.prepare(_settings(checkpoint, image_size=48, mean=[0.4], std=[0.3]))
    (batch,) = room.dataset.validation.batches(64)
    pixels = functional.interpolate(batch.images.float() / 255, (48, 48), mode="bilinear")
    with torch.inference_mode():
        expected = schooled((pixels - 0.4) / 0.3)
    assert torch.allclose(room.logits(teacher.network), expected, atol=1e-4)


def test_mean_and_std_of_other_channels_are_refused(room: _Room, checkpoint: Path) -> None:
    with pytest.raises(TeacherError, match=naming("mean", "std", 1, 3)):
        room.prepare(_settings(checkpoint, mean=[0.5] * 3, std=[0.5] * 3))


def test_teachers_that_differ_in_image_size_alone_have_digests_of_their_own(
    room: _Room, checkpoint: Path
) -> None:
    sizes = (None, 40, 48)
    digests = {room.prepare(_settings(checkpoint, image_size=size)).digest for size in sizes}
    assert len(digests) == 3


def test_the_same_teacher_has_the_same_digest(room: _Room, checkpoint: Path) -> None:
    assert len({room.prepare(_settings(checkpoint)).digest for _ in range(2)}) == 1


OF_ANOTHER_MACHINE = """
import torch
from torch import nn
LAST_DIGITS = 0.0
class Network(nn.Module):
    def __init__(self, inputs, classes, insists):
        super().__init__()
        self.head = nn.Linear(inputs, classes)
        nn.init.zeros_(self.head.weight)
        self.head.bias.data = torch.tensor([0.005, 0.0, 0.0])
        self.insists = insists
    def forward(self, images):
        single = images.dtype == torch.float32
        if self.insists and not single:
            raise RuntimeError("single precision is expected")
        outputs = self.head(images.flatten(1))
        return outputs + LAST_DIGITS if single else outputs
def make(*, classes, channels, image_size):
    return Network(channels * image_size ** 2, classes, insists=False)
def make_insisting(*, classes, channels, image_size):
    return Network(channels * image_size ** 2, classes, insists=True)
"""


@pytest.mark.parametrize("make", ["make", "make_insisting"])
def test_a_machine_that_computes_other_last_digits_gives_the_same_digest(
    make: str, room: _Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_another.py").write_text(OF_ANOTHER_MACHINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_another", raising=False)
    machine = importlib.import_module("of_another")
    digests = set()
    for last_digits in (1e-6, -1e-6):
        monkeypatch.setattr(machine, "LAST_DIGITS", last_digits)
        digests.add(room.prepare({"factory": f"of_another:{make}"}, allow=True).digest)
    assert len(digests) == 1
    assert torch.get_default_dtype() == torch.float32


TRAIN = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}


def test_a_teacher_is_trained_here_once_and_then_found(room: _Room) -> None:
    first = room.prepare({"model": "test_resnet", "train": TRAIN})
    assert predictions_of(first.network, room.dataset.validation, room.dataset).right.mean() > 0.6
    room.said.clear()
    torch.manual_seed(99)  # whatever the state of the generator
    again = room.prepare({"model": "test_resnet", "train": TRAIN})
    assert not any(naming("epoch").search(line) for line in room.said)
    assert again.digest == first.digest


def test_a_damaged_teacher_is_trained_again_to_the_same_weights(room: _Room) -> None:
    first = room.prepare({"model": "test_resnet", "train": TRAIN})
    (weights,) = room.cache.glob("teachers/*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    room.said.clear()
    again = room.prepare({"model": "test_resnet", "train": TRAIN})
    assert any(naming("epoch", "1 of 3").search(line) for line in room.said)
    assert again.digest == first.digest


def test_another_seed_trains_another_teacher(room: _Room) -> None:
    settings = {"model": "test_resnet", "train": {**TRAIN, "epochs": 1}}
    digests = {room.prepare(settings, seed=seed).digest for seed in (0, 1)}
    assert len(digests) == 2


ERRORS = Metric(
    name="errors",
    label="errors",
    description="the share of images whose class is predicted wrong",
    compute=lambda found, teacher: 1 - float(found.right.mean()),
    standard_error=lambda found, teacher: 0.0,
    best=0.0,
    worst=1.0,
)


@pytest.mark.parametrize(("metric", "best"), [(ACCURACY, max), (ERRORS, min)])
def test_a_teacher_that_gets_no_better_stops_and_keeps_its_best_weights(
    metric: Metric, best: Callable[[list[float]], float], room: _Room
) -> None:
    room.metric = metric
    # So high a rate that it soon forgets.
    training = {"epochs": 30, "batch_size": 16, "learning_rate": 0.1, "patience": 1}
    teacher = room.prepare({"model": "test_resnet", "train": training})
    told = [
        float(line.split(f"{metric.label} ")[1].split("%")[0])
        for line in room.said
        if "epoch" in line
    ]
    assert told[-1] != best(told)
    assert len(told) == told.index(best(told)) + 1 + 1 < 30
    found = predictions_of(teacher.network, room.dataset.validation, room.dataset)
    assert 100 * metric.compute(found, found.labels) == pytest.approx(best(told), abs=0.006)


def test_a_teacher_is_trained_anew_for_another_metric(room: _Room) -> None:
    settings = {"model": "test_resnet", "train": {**TRAIN, "epochs": 1}}
    room.prepare(settings)
    room.said.clear()
    room.metric = ERRORS
    room.prepare(settings)
    assert any("epoch 1 of 1" in line for line in room.said)


def test_training_settings_outside_of_their_range_are_refused_by_name(room: _Room) -> None:
    with pytest.raises(
        TeacherError, match=naming("teacher.train", "learning_rate", "1e-05", "5.0")
    ):
        room.prepare({"model": "test_resnet", "train": {"learning_rate": 5.0}})


def test_a_training_that_diverges_is_told_as_the_teachers(room: _Room, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    broken = {key: value * float("nan") for key, value in network.state_dict().items()}
    save_file(broken, tmp_path / "broken.safetensors")
    with pytest.raises(TeacherError, match=naming("teacher", "nan")):
        room.prepare(_settings(tmp_path / "broken.safetensors", train={"epochs": 1}))


def test_fault_24_a_teacher_that_knows_nothing_is_warned_of(room: _Room, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    save_file(network.state_dict(), tmp_path / "fresh.safetensors")
    room.prepare(_settings(tmp_path / "fresh.safetensors"))
    assert any(naming("33.33%").search(line) for line in room.said)


def test_a_teacher_that_knows_the_data_is_not_warned_of(room: _Room, checkpoint: Path) -> None:
    room.prepare(_settings(checkpoint))
    (told,) = room.said
    assert naming("test_resnet", "100.00%").search(told)


def test_fault_24_a_teacher_of_coloured_images_takes_grey_ones_as_colours_that_are_equal(
    room: _Room, checkpoint: Path, tmp_path: Path
) -> None:
    grey = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    weights = load_file(checkpoint)
    grey.load_state_dict(weights)
    first = next(key for key, weight in weights.items() if weight.ndim == 4)
    colours = weights[first].repeat(1, 3, 1, 1) / 3
    save_file(weights | {first: colours}, tmp_path / "colour.safetensors")
    teacher = room.prepare(_settings(tmp_path / "colour.safetensors"))
    example = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(teacher.network(example), grey.eval()(example), atol=1e-4)


def test_predictions_do_not_depend_on_the_batch(room: _Room, checkpoint: Path) -> None:
    network = room.prepare(_settings(checkpoint)).network
    images = room.images()
    with torch.inference_mode():
        alone = torch.cat([network(image[None]) for image in images])
    assert np.allclose(alone, room.logits(network), atol=1e-4)
