"""Row 32 of the faults: nothing that a foreign folder names is opened unless a person says so."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from search.cli.app import app
from search.errors import ArtifactError, BadInput
from search.evaluation.artifact import RECIPE, read_provenance
from search.export.evaluated_model import open_model
from search.export.exporting import export_student, load
from search.export.images import RECORDED, open_images
from search.export.record import read_export_record
from search.export.verify import verify
from search.files.atomic import CHECKSUMS, written_whole
from search.targets.onnx_runtime import SERVED
from tests.messages import naming
from tests.search import conftest as of_search
from tests.search.conftest import FinishedTrials

finished = of_search.finished

OPENING = {"open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo", "import"}
_heard: list[list[str]] = []
_is_hooked: list[bool] = []


def _hear(event: str, told: tuple[object, ...]) -> None:
    if _heard and event in OPENING:
        _heard[-1].append(f"{event} {told}")


@contextmanager
def everything_opened() -> Iterator[list[str]]:
    """Every file, folder, module and address that this process opens meanwhile."""
    if not _is_hooked:
        sys.addaudithook(_hear)  # which stays for as long as the process does
        _is_hooked.append(True)
    _heard.append([])
    try:
        yield _heard[-1]
    finally:
        _heard.pop()


_exported: list[Path] = []


@pytest.fixture
def student(
    finished: FinishedTrials, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of a student that is made once."""
    if not _exported:
        folder = tmp_path_factory.mktemp("exported") / "student"
        _exported.append(export_student(*finished(), folder))
    return shutil.copytree(_exported[0], tmp_path / "student")


Rewrite = Callable[[str, Callable[[dict], object]], None]  # type: ignore[type-arg]


@pytest.fixture
def rewrite(student: Path) -> Rewrite:
    """Changes a JSON file of the student, and the checksums with it."""

    def change(name: str, edit: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
        document = json.loads((student / name).read_text())
        edit(document)
        replaced(student, name, json.dumps(document).encode())

    return change


def replaced(folder: Path, name: str, content: bytes) -> None:
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != CHECKSUMS}
    with written_whole(folder) as temporary:
        for file, held in (kept | {name: content}).items():
            (temporary / file).write_bytes(held)


@pytest.fixture
def named(tmp_path: Path, rewrite: Rewrite, stripes_file: Path) -> Path:
    """A folder to which everything leads that the student's recipe.json names."""
    folder = tmp_path / "named"
    (folder / "more").mkdir(parents=True)
    (folder / "images.npz").write_bytes(stripes_file.read_bytes())

    def name(document: dict) -> None:  # type: ignore[type-arg]
        document["study"] |= {
            "data": {
                "source": "npz", "path": str(folder / "images.npz"), "image_size": 32,
                "flip": False, "unlabelled": str(folder / "more"),
            },
            "teacher": {
                "factory": "named_by_a_folder:make", "exported": str(folder),
                "checkpoint": "https://named.invalid/weights.pth",
            },
            "budget": {"size": "1GB", "target": {"agent": "http://named.invalid:8765"}},
            "run": {"storage": f"sqlite:///{folder}/retort.db", "cache": str(folder)},
        }  # fmt: skip

    rewrite(RECIPE, name)
    return folder


def test_fault_32_nothing_that_a_folder_names_is_opened_unasked(
    student: Path, named: Path, tmp_path: Path
) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "image.png")
    commands = (
        ["verify", str(student), "--json"],
        ["evaluate", str(student)],
        ["predict", str(student), str(tmp_path / "image.png")],
    )
    with everything_opened() as opened:
        verified, evaluated, predicted = (
            CliRunner().invoke(app, command, env={"HOME": str(tmp_path)}) for command in commands
        )
    assert [each for each in opened if "named" in each] == []
    assert any(str(student / RECIPE) in each for each in opened)  # else nothing is heard
    found = {each["check"]: each for each in json.loads(verified.stdout)}
    assert found["test part"]["holds"] is None
    asked = naming("--data recorded", "npz", f"'{named}/images.npz'")
    assert asked.search(found["test part"]["found"])
    assert found["budget"]["holds"] is True
    assert isinstance(evaluated.exception, BadInput)
    assert "--data recorded" in str(evaluated.exception)
    assert predicted.exit_code == 0


def test_what_a_folder_names_is_opened_where_the_person_says_so(
    student: Path, named: Path, tmp_path: Path
) -> None:
    told = read_export_record(student)
    (named / "more").rmdir()
    found = open_images(RECORDED, told, cache=tmp_path / "cache")
    assert found.info.digest == read_provenance(student).data.digest


def test_fault_32_data_that_the_person_names_do_not_bring_others_along(
    student: Path, named: Path, stripes_file: Path, tmp_path: Path
) -> None:
    told = read_export_record(student)
    with everything_opened() as opened:
        found = open_images(stripes_file, told, cache=tmp_path / "cache")
    assert [each for each in opened if str(named) in each] == []
    assert found.info.digest == read_provenance(student).data.digest


def test_fault_32_images_that_come_with_a_library_bring_no_path_along(
    student: Path, named: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    rewrite(RECIPE, lambda document: document["study"]["data"].update(source="digits"))
    with everything_opened() as opened:
        found = open_images(None, read_export_record(student), cache=tmp_path / "cache")
    assert [each for each in opened if str(named) in each] == []
    assert found.info.source == "digits"


def test_fault_32_a_file_of_class_names_is_not_opened_for_names_that_are_known(
    student: Path, rewrite: Rewrite, stripes_file: Path, tmp_path: Path
) -> None:
    def name(document: dict) -> None:  # type: ignore[type-arg]
        document["study"]["data"]["class_names"] = str(tmp_path / "named.txt")
        known = document["data"]["classes"]
        document["data"] |= {"classes": ["lying", "upright", "slant"], "original_classes": known}

    rewrite(RECIPE, name)
    (tmp_path / "named.txt").write_text("never\nread\nhere")
    with everything_opened() as opened:
        found = open_images(stripes_file, read_export_record(student), cache=tmp_path / "cache")
    assert [each for each in opened if "named.txt" in each] == []
    assert found.info.classes == ("lying", "upright", "slant")
    assert found.info.digest == read_provenance(student).data.digest


def _table(folder: Path, images: str) -> Path:
    """A table of a few images in the folder `images` beside it."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    rows = ["path,label"]
    for number in range(30):
        pixels = np.full((32, 32), number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / images / f"{number}.png")
        rows.append(f"{number}.png,{number % 3}")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"


def test_a_table_that_moved_takes_its_images_along(
    student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    data = {"source": "table", "path": "/nowhere/table.csv", "image_size": 32}
    for images, told in ((None, "."), ("/nowhere", "."), ("/nowhere/im", "im")):
        table = _table(tmp_path / f"moved{images}".replace("/", "_"), told)
        own = data | {"images": images}
        rewrite(RECIPE, lambda document, own=own: document["study"].update(data=own))
        found = open_images(table, read_export_record(student), cache=tmp_path / "cache")
        assert found.info.sizes.training == 21


def test_fault_32_images_beside_the_folder_of_a_table_are_not_opened(
    student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    table = _table(tmp_path / "data", "im")
    data = {"source": "table", "path": "/nowhere/table.csv", "images": "/home", "image_size": 32}
    rewrite(RECIPE, lambda document: document["study"].update(data=data))
    with pytest.raises(BadInput, match=naming("--data", "'/home'")):
        open_images(table, read_export_record(student), cache=tmp_path / "cache")


def test_fault_32_a_data_set_by_name_is_not_fetched_for_a_path(
    student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    data = {"source": "timm", "name": "hfds/somebody/everything"}
    rewrite(RECIPE, lambda document: document["study"].update(data=data))
    with pytest.raises(BadInput, match=naming("timm", "'hfds/somebody/everything'")):
        open_images(tmp_path, read_export_record(student), cache=tmp_path / "cache")


def test_fault_32_a_folder_neither_follows_links_nor_runs_regular_expressions(
    student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(8):
            image = Image.effect_noise((32, 32), 40)
            image.save(tmp_path / "data" / name / f"{'abcd'[number % 4]}{number}.png")
    (tmp_path / "secret.png").write_bytes((tmp_path / "data" / "ant" / "a0.png").read_bytes())
    (tmp_path / "data" / "ant" / "link.png").symlink_to(tmp_path / "secret.png")

    def images(**data: object) -> int:
        given = {"source": "folder", "path": "nowhere", "image_size": 32, **data}
        rewrite(RECIPE, lambda document: document["study"].update(data=given))
        record = read_export_record(student)
        found = open_images(tmp_path / "data", record, cache=tmp_path / "cache")
        return sum(vars(found.info.sizes).values())

    assert images(follow_links=True, groups="prefix") == 16
    with pytest.raises(BadInput, match=naming("recorded", "'(a+)+$'")):
        images(groups="(a+)+$")


@pytest.mark.parametrize(
    "model", ["hf-hub:somebody/model", "local-dir:{}", "hf_hub:somebody/model"]
)
def test_fault_32_a_student_by_the_name_of_an_address_is_refused(
    model: str, student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    name = model.format(tmp_path)
    rewrite(RECIPE, lambda document: document["params"].update({"student.timm.model": name}))
    with everything_opened() as opened, pytest.raises(ArtifactError, match=naming(repr(name))):
        load(student)
    assert [each for each in opened if each.startswith("socket")] == []


@pytest.mark.parametrize(
    "edit",
    [
        {"pretrained_cfg": {"url": "https://named.invalid/weights.pth"}},
        {"pretrained_cfg": {"num_classes": 10**9}},
        {"model_args": {"checkpoint_path": "/named/weights.pth"}},
        {"architecture": "vit_giant_patch14_reg4_dinov2"},
    ],
)
def test_fault_32_what_timm_would_follow_is_not_given_to_timm(
    edit: dict[str, object], student: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    key, value = next(iter(edit.items()))

    def change(document: dict) -> None:  # type: ignore[type-arg]
        document[key] = document[key] | value if isinstance(value, dict) else value

    rewrite("config.json", change)
    check = {each.name: each for each in verify(student, cache=tmp_path / "cache")}["timm"]
    assert check.holds is False
    assert naming("config.json", key).search(check.found)


def with_data_elsewhere(location: str) -> bytes:
    """An ONNX file that adds to an image what another file holds."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    images, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 32, 32])
        for name in ("input", "logits")
    )
    add = helper.make_node("Add", ["input", "w"], ["logits"])
    graph = helper.make_graph([add], "graph", [images], [logits], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


@pytest.mark.parametrize("place", ["../secret", "{}/secret", "link"])
def test_fault_32_an_onnx_file_takes_no_weights_from_elsewhere(
    place: str, student: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(np.float32([7]).tobytes())
    path = tmp_path / "other" / "model.onnx"
    path.parent.mkdir()
    (path.parent / "link").symlink_to("../secret")
    path.write_bytes(with_data_elsewhere(place.format(tmp_path)))
    info = read_provenance(student).data
    with pytest.raises(ArtifactError, match=naming(path)):
        open_model(str(path), info, threads=1, scratch=tmp_path)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.load(path)


def test_fault_32_a_link_in_a_folder_leads_nowhere(student: Path, tmp_path: Path) -> None:
    """Not even to a file that fits the checksum: whether it fits is told to nobody."""
    (student / SERVED).rename(tmp_path / "elsewhere.onnx")
    (student / SERVED).symlink_to(tmp_path / "elsewhere.onnx")
    with everything_opened() as opened, pytest.raises(ArtifactError, match=naming(student, SERVED)):
        load(student)
    assert [each for each in opened if "onnx" in each] == []


@pytest.mark.parametrize("name", ["../secret", "{}/secret", "a/../../secret", "..\\secret", "a\0b"])
def test_fault_32_a_list_that_names_other_files_is_refused_and_they_are_not_opened(
    name: str, student: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of this machine")
    name = name.format(tmp_path)
    with (student / CHECKSUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with everything_opened() as opened, pytest.raises(ArtifactError, match=naming(repr(name))):
        load(student)
    assert [each for each in opened if "secret" in each] == []


def test_fault_32_a_pipe_in_a_folder_is_not_waited_for(student: Path) -> None:
    (student / SERVED).unlink()
    os.mkfifo(student / SERVED)
    with pytest.raises(ArtifactError, match=naming(student, SERVED)):
        load(student)
