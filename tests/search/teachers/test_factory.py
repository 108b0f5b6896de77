"""A person's own code as a teacher: a file by its path, and what is known of it."""

import sys
from pathlib import Path

import pytest
from torch import nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset
from search.errors import TeacherError
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.factory import factory_digest, from_factory
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from tests.messages import naming

NETS = """
import timm
def make(*, classes, channels, image_size):
    return timm.create_model("test_resnet", num_classes=classes, in_chans=channels)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "timm.py"  # by its name alone, it would be taken for a library
    path.parent.mkdir()
    path.write_text(NETS)
    return path


def _taught(settings: TeacherSettings, dataset: Dataset, cache: Path) -> Teacher:
    room = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(cache),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=True,
        progress=lambda line: None,
    )
    return prepare_teacher([settings], room)


def test_fault_33_a_factorys_file_stands_in_for_no_module(nets: Path, stripes: Dataset) -> None:
    before, path = set(sys.modules), list(sys.path)
    network = from_factory(f"{nets}:make", stripes.info, allow_code=True)
    assert isinstance(network, nn.Module)
    assert sys.path == path
    (name,) = (name for name in set(sys.modules) - before if name.startswith("_retort_factory"))
    assert sys.modules[name].__file__ == str(nets)
    assert sys.modules["timm"].__file__ != str(nets)


def test_a_changed_file_makes_another_teacher_and_another_training(
    nets: Path, stripes: Dataset, tmp_path: Path
) -> None:
    train = {"epochs": 1, "batch_size": 16}
    settings = TeacherSettings.model_validate({"factory": f"{nets}:make", "train": train})
    trainings = tmp_path / "cache" / "teachers"
    first = _taught(settings, stripes, tmp_path / "cache")
    assert _taught(settings, stripes, tmp_path / "cache").digest == first.digest
    assert len(list(trainings.glob("[!.]*"))) == 1
    nets.write_text(f"{NETS}# another\n")
    assert _taught(settings, stripes, tmp_path / "cache").digest != first.digest
    assert len(list(trainings.glob("[!.]*"))) == 2


def test_a_worker_loads_the_file_unless_it_has_changed_or_is_away(
    nets: Path, stripes: Dataset, tmp_path: Path
) -> None:
    settings = TeacherSettings(factory=f"{nets}:make")
    teacher = _taught(settings, stripes, tmp_path / "cache")
    folder = save_teacher(
        teacher, [settings], stripes.info, cache=FolderStore.of(tmp_path / "cache")
    )
    assert len(open_teachers(folder, allow_code=True)) == 1
    open_teachers.cache_clear()
    with pytest.raises(TeacherError, match=naming("--allow-code")):
        open_teachers(folder, allow_code=False)
    nets.write_text(f"{NETS}# another\n")
    with pytest.raises(TeacherError, match=naming(f"{nets}:make")):
        open_teachers(folder, allow_code=True)
    nets.unlink()
    with pytest.raises(TeacherError, match=naming("teacher.factory", nets)):
        open_teachers(folder, allow_code=True)


def test_an_installed_module_has_no_file_to_tell_of() -> None:
    assert factory_digest("package.module:make") == factory_digest(None) == ""


def test_a_file_that_does_not_run_is_named_and_leaves_no_module(
    nets: Path, stripes: Dataset
) -> None:
    before = set(sys.modules)
    nets.write_text("def make(")
    with pytest.raises(TeacherError, match=naming(f"{nets}:make")):
        from_factory(f"{nets}:make", stripes.info, allow_code=True)
    assert not [name for name in set(sys.modules) - before if name.startswith("_retort_factory")]


def _refused(nets: Path, code: str, stripes: Dataset, name: str = "make") -> str:
    nets.write_text(code)
    with pytest.raises(TeacherError, match=naming(f"{nets}:{name}")) as caught:
        from_factory(f"{nets}:{name}", stripes.info, allow_code=True)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_error_of_the_persons_code_is_one_line_with_its_place(
    nets: Path, stripes: Dataset
) -> None:
    code = "import torch\ndef make(*, classes, channels, image_size):\n    {}\n"
    text = _refused(nets, code.format("torch.zeros(2) @ torch.zeros(3)"), stripes)
    assert naming(f"{nets}:3", "RuntimeError").search(text)
    assert naming(f"{nets}:3", "SystemExit").search(
        _refused(nets, code.format("raise SystemExit(4)"), stripes)
    )
    assert naming(f"{nets}:1", "ZeroDivisionError").search(_refused(nets, "1 / 0\n", stripes))
    assert naming(f"{nets}:2", "SyntaxError").search(_refused(nets, "x = 1\ndef make(", stripes))
    assert naming(f"{nets}:1", "nowhere_at_all").search(
        _refused(nets, "import nowhere_at_all\n", stripes)
    )


def test_the_place_may_be_in_a_file_beside_the_factorys(nets: Path, stripes: Dataset) -> None:
    path = list(sys.path)
    beside = nets.with_name("blocks_of_this_test.py")
    beside.write_text("def block():\n    raise KeyError('width')\n")
    code = "def make(**_):\n    from blocks_of_this_test import block\n    return block()\n"
    try:
        text = _refused(nets, code, stripes)
    finally:
        sys.modules.pop(beside.stem, None)
    assert naming(f"{beside}:2", "KeyError").search(text)
    assert sys.path == path


@pytest.mark.parametrize(
    ("signature", "fact"),
    [
        ("classes", "channels"),
        ("*, classes, channels, image_size, width", "width"),
        ("", "classes"),
    ],
)
def test_a_function_of_other_keywords_is_refused_with_its_place(
    signature: str, fact: str, nets: Path, stripes: Dataset
) -> None:
    text = _refused(nets, f"\ndef make({signature}):\n    return None\n", stripes)
    assert naming("classes", "channels", "image_size", f"{nets}:2", fact).search(text)


def test_what_a_function_returns_instead_of_a_network_is_named(
    nets: Path, stripes: Dataset
) -> None:
    text = _refused(nets, "def make(**_):\n    return {}\n", stripes)
    assert naming("dict", f"{nets}:1").search(text)


def test_a_function_that_is_missing_is_refused_with_one_of_its_name(
    nets: Path, stripes: Dataset
) -> None:
    assert naming("'make'").search(_refused(nets, NETS, stripes, name="mke"))
    assert naming("make").search(_refused(nets, NETS, stripes, name="teacher"))


@pytest.mark.parametrize("factory", ["nets", "nets.py", ":make", "nets:"])
def test_a_factory_without_a_function_is_refused_with_the_form(
    factory: str, stripes: Dataset
) -> None:
    with pytest.raises(TeacherError, match=naming(factory, "module:function")):
        from_factory(factory, stripes.info, allow_code=True)


def test_a_module_that_is_nowhere_is_refused_with_what_was_tried(stripes: Dataset) -> None:
    with pytest.raises(
        TeacherError, match=naming("nowhere.nets:make", "nowhere/nets.py", sys.executable)
    ):
        from_factory("nowhere.nets:make", stripes.info, allow_code=True)


WRONG_FORWARD = """
from torch import nn
class Net(nn.Module):
    def forward(self, images):
        return {}
def make(**_):
    return Net()
"""


@pytest.mark.parametrize(
    ("returned", "facts"), [("images['x']", ("{nets}:5", "TypeError")), ("(images,)", ("tuple",))]
)
def test_a_network_that_fails_on_the_images_is_refused_in_one_line(
    returned: str, facts: tuple[str, ...], nets: Path, stripes: Dataset, tmp_path: Path
) -> None:
    nets.write_text(WRONG_FORWARD.format(returned))
    known = [fact.format(nets=nets) for fact in facts]
    with pytest.raises(TeacherError, match=naming(*known)) as caught:
        _taught(TeacherSettings(factory=f"{nets}:make"), stripes, tmp_path / "cache")
    assert "\n" not in str(caught.value)
