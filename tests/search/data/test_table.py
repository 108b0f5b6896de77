"""Images that a table names, with labels, groups and parts."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from search.config.data_settings import DataSettings
from search.data.dataset import Dataset
from search.data.notes import notes, warnings
from search.data.prepare import prepared_key
from search.data.sources.registry import READERS
from search.data.sources.source import Source
from search.errors import DataError
from tests.messages import naming

Prepared = Callable[..., Dataset]
SaveImage = Callable[..., Path]
Write = Callable[..., Path]

PARTS = ("training", "validation", "test")


@pytest.fixture
def write(tmp_path: Path, save_image: SaveImage) -> Write:
    """Writes a table of these lines, and an image for each path that ends with .png in them."""

    def write(*lines: str, images: Sequence[str] = ()) -> Path:
        folder = tmp_path / "data"
        named = [cell for line in lines for cell in line.split(",") if cell.endswith(".png")]
        for number, name in enumerate(dict.fromkeys([*named, *images])):
            save_image(folder / name, seed=number)
        table = folder / "table.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(lines))
        return table

    return write


def _rows(count: int = 12, *, form: str = "im/{n}.png,{label}") -> list[str]:
    return [form.format(n=number, label="ab"[number % 2]) for number in range(count)]


def _read(table: Path, **settings: object) -> Source:
    settings = {"source": "table", "path": table, **settings}
    return READERS["table"](DataSettings(**settings))  # type: ignore[arg-type]


def _names(pool) -> list[str]:
    return [pool.pictures.name(index) for index in range(len(pool.pictures))]


def test_rows_name_images_and_labels(write: Write, prepared: Prepared) -> None:
    table = write("path,label", *_rows())
    dataset = prepared(source="table", path=table, in_memory="1B")
    assert dataset.info.classes == ("a", "b")
    found = {
        part.pictures.name(index): int(part.labels[index])
        for part in (getattr(dataset, name) for name in PARTS)
        for index in range(len(part))
    }
    assert found == {f"im/{number}.png": number % 2 for number in range(12)}
    assert any(
        naming(12, "table.csv", "path", "label").search(line) for line in notes(dataset.info)
    )


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("File Name,Class", None),
        ("image_path,ClassId", None),
        ("what,x", {"image": "what", "label": "x"}),
        ("filename,label", {"image": "filename"}),
    ],
)
def test_columns_are_found_by_their_names_or_set(
    write: Write, header: str, columns: dict[str, str] | None
) -> None:
    assert len(_read(write(header, *_rows()), columns=columns).training.labels) == 12


def test_a_table_may_be_a_parquet_file(write: Write) -> None:
    table = write("path,label", *_rows())
    columns = {"path": [f"im/{number}.png" for number in range(12)], "label": [0.0, 10.0] * 6}
    parquet.write_table(pyarrow.table(columns), table.with_name("t.parquet"))
    source = _read(table.with_name("t.parquet"))
    assert source.classes == ("0", "10")
    assert _names(source.training)[:2] == ["im/0.png", "im/10.png"]
    columns["path"][3] = "gone.png"
    parquet.write_table(pyarrow.table(columns), table.with_name("t.parquet"))
    with pytest.raises(DataError, match=naming("row 4", "'gone.png'")):
        _read(table.with_name("t.parquet"))


def test_a_pattern_completes_what_a_table_leaves_out(write: Write) -> None:
    images = [f"train/{number:02}_x.png" for number in range(12)]
    rows = _rows(form="{n:02},{label},x")
    table = write("id,label,kind", *rows, images=images)
    source = _read(table, columns={"image": "train/{id}_{kind}.png"})
    assert sorted(_names(source.training)) == images


def test_images_may_lie_in_another_folder_and_be_named_as_on_windows(
    write: Write, tmp_path: Path
) -> None:
    table = write("path,label", "x\\0.png,a", ".\\x\\1.png,b")
    for name in ("0.png", "1.png"):
        (tmp_path / "elsewhere" / "x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "elsewhere" / "x" / name).touch()
    source = _read(table, images=tmp_path / "elsewhere")
    assert _names(source.training) == ["x/0.png", "x/1.png"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("10", "9", "-1"), ("-1", "9", "10")),
        (("2.0", "10.0"), ("2.0", "10.0")),
        (("10", "9", "b"), ("10", "9", "b")),
        (("Dog", "ant"), ("Dog", "ant")),
        (("e\u0301", "\u00e9", "z"), ("z", "\u00e9")),
    ],
)
def test_classes_are_in_the_order_of_their_values_or_names(
    write: Write, labels: Sequence[str], classes: Sequence[str]
) -> None:
    rows = [f"{number}.png,{label}" for number, label in enumerate(labels)]
    assert _read(write("path,label", *rows)).classes == tuple(classes)


def test_a_column_of_parts_is_used_as_the_folders_of_parts_are(write: Write) -> None:
    parts = ["Train", "training", "valid", "validation", "test", "test"]
    rows = [f"{number}.png,{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    source = _read(write("path,label,split", *rows))
    pools = [source.training, *source.held_out]
    assert [_names(pool) for pool in pools] == [
        ["0.png", "1.png"], ["2.png", "3.png"], ["4.png", "5.png"],
    ]  # fmt: skip
    only = _read(write("path,label,split", *rows[:4]))
    assert [_names(pool) for pool in only.held_out] == [["2.png", "3.png"]]
    unsplit = _read(write("path,label,split", *rows), columns={"part": ""})
    assert (len(unsplit.training.labels), unsplit.held_out) == (6, ())


def test_images_of_a_group_stay_in_one_part(write: Write, prepared: Prepared) -> None:
    rows = [f"{number}.png,{'ab'[number % 2]},{number // 6}" for number in range(60)]
    table = write("path,label,scene", *rows)
    dataset = prepared(source="table", path=table, in_memory="1B", flip=False)
    scenes = [
        {int(Path(part.pictures.name(index)).stem) // 6 for index in range(len(part))}
        for part in (getattr(dataset, name) for name in PARTS)
    ]
    assert sum(map(len, scenes)) == len(set.union(*scenes)) == dataset.info.groups == 10
    assert (dataset.info.shared_groups, warnings(dataset.info)) == (0, ())


def test_a_row_without_a_group_is_a_group_of_its_own(write: Write) -> None:
    rows = ["0.png,a,x", "1.png,a,", "2.png,b,x", "3.png,b,"]
    groups = _read(write("path,label,group", *rows)).training.groups
    assert groups is not None
    assert groups.tolist() == [0, 1, 0, 2]


def test_groups_may_follow_from_the_paths_instead(write: Write) -> None:
    rows = [f"s{number // 3}_{number % 3}.png,{'ab'[number // 6]},x" for number in range(12)]
    source = _read(write("path,label,group", *rows), groups="prefix")
    assert source.training.groups is not None
    assert source.training.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    with pytest.raises(ValidationError, match=naming("columns.group", "'x'", "prefix")):
        DataSettings(source="table", path="t.csv", groups="prefix", columns={"group": "x"})


def test_groups_that_the_data_put_into_several_parts_are_told(
    write: Write, prepared: Prepared
) -> None:
    rows = [
        f"{number}.png,{'ab'[number % 2]},{number // 4},{('train', 'val', 'test')[number % 3]}"
        for number in range(24)
    ]
    info = prepared(source="table", path=write("path,label,group,split", *rows)).info
    assert info.shared_groups == info.groups == 6


def test_names_and_columns_that_suggest_groups_are_told_with_the_key_to_set(
    write: Write, prepared: Prepared
) -> None:
    rows = [f"s{n // 5}_{n % 5}.png,{'ab'[n % 10 // 5]},{n // 9}" for n in range(60)]
    table = write("path,label,Patient ID", *rows)
    prepare = partial(prepared, source="table", path=table, flip=False)
    told = warnings(prepare().info)
    assert any(naming("data.groups: prefix", 12).search(line) for line in told)
    assert any(naming("data.columns.group: Patient ID").search(line) for line in told)
    for quiet in ({"columns": {"group": "Patient ID"}}, {"groups": "prefix"}):
        assert warnings(prepare(**quiet).info) == ()
    told = warnings(prepare(columns={"group": ""}).info)
    assert not any("Patient ID" in line for line in told)


def test_what_is_not_used_is_counted(write: Write) -> None:
    rows = _rows()
    source = _read(
        write(
            "path,label",
            *rows,
            "u1.png,",
            "u2.png, ",
            rows[0],
            "./im/0.png,a",
            "gone.jpg,a",
            "unknown.jpg,",
        ),
        max_corrupt_share=0.1,
    )
    assert source.unused == {
        "rows without a label": 3,
        "rows that repeat another": 2,
        "rows whose image is missing": 1,
    }
    assert len(source.training.labels) == 12


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        (["path,label"], ["table.csv", "'path'", "'label'"]),
        (["path,label", "1.png,", "2.png,"], ["'label'", 2]),
        (["path,label", "1.png,a", "2.png,b", "1.png,b"], ["label", "line 2", "line 4", "'1.png'"]),
        (["path,label,split", "1.png,a,train", "1.png,a,test"], ["part", "line 3", "'test'"]),
        (["path,label,group", "1.png,a,x", "1.png,a,y"], ["group", "line 3", "'y'"]),
        (["path,label,split", "1.png,a,train", "2.png,b,late"],
         ["data.columns.part", "line 3", "'late'", "train"]),
        (["path,label,split", "1.png,a,test", "2.png,b,test"], ["0 train", "2 test"]),
        (["path,label,split", "1.png,a,train", "2.png,b,train", "3.png,c,test"], ["'c'"]),
        (["path,label", "1.png,a", ",b"], ["line 3", "'path'"]),
        (["path,label", "1.png,a", "2.png,a"], [1, "'a'"]),
        (["path,image,label", "1.png,2.png,b"], ["data.columns.image", "'path'", "'image'"]),
        (["path,kind", "1.png,b"], ["data.columns.label", "'path'", "'kind'"]),
        (["photo,label", "1.png,b"], ["data.columns.image", "'photo'"]),
        (["0.png,1", "1.png,0"], ["first line"]),
        (["path,label,label", "1.png,a,b"], ["data.columns.label"]),
    ],
)  # fmt: skip
def test_a_table_that_is_unclear_is_refused_with_the_row_or_the_key(
    write: Write, lines: Sequence[str], facts: Sequence[object]
) -> None:
    with pytest.raises(DataError, match=naming(*facts)):
        _read(write(*lines))


@pytest.mark.parametrize(
    ("columns", "facts"),
    [
        ({"label": "lable"}, ["data.columns.label", "'lable'", "'label'"]),
        ({"image": "{idd}.png"}, ["data.columns.image", "'idd'", "'id'"]),
        ({"image": "{}.png"}, ["data.columns.image", "''"]),
        ({"group": "scene"}, ["data.columns.group", "'scene'"]),
    ],
)
def test_a_column_that_the_table_lacks_is_refused(
    write: Write, columns: dict[str, str], facts: Sequence[object]
) -> None:
    with pytest.raises(DataError, match=naming(*facts)):
        _read(write("id,label", "1,a"), columns=columns)


def test_missing_images_are_refused_with_the_pattern_that_finds_them(write: Write) -> None:
    rows = _rows(form="{n},{label}")
    table = write("id,label", *rows, images=[f"photos/{number}.png" for number in range(12)])
    with pytest.raises(DataError, match=naming("line 2", "12 of 12")) as caught:
        _read(table)
    setting = 'data.columns.image: "photos/{id}.png"'
    assert setting in str(caught.value)
    assert len(_read(table, columns={"image": "photos/{id}.png"}).training.labels) == 12
    with pytest.raises(DataError, match=naming("data.images", "'nothing/0.png'")):
        _read(table, columns={"image": "nothing/{id}.png"})


@pytest.mark.parametrize("name", ["../out.png", "{tmp}/out.png", "link.png", "folder/out.png"])
def test_images_outside_of_the_folder_need_permission(
    write: Write, save_image: SaveImage, tmp_path: Path, name: str, prepared: Prepared
) -> None:
    save_image(tmp_path / "out.png")
    name = name.format(tmp=tmp_path)
    table = write("path,label", *_rows())
    (table.parent / "link.png").symlink_to(tmp_path / "out.png")
    (table.parent / "folder").symlink_to(tmp_path)
    with table.open("a") as file:
        file.write(f"\n{name},a")
    with pytest.raises(DataError, match=naming("data.follow_links", "line 14", f"'{name}'")):
        _read(table)
    dataset = prepared(source="table", path=table, follow_links=True)
    sizes = dataset.info.sizes
    assert sizes.training + sizes.validation + sizes.test == 13


def test_an_absolute_path_inside_the_folder_is_the_same_image(write: Write) -> None:
    table = write("path,label", *_rows())
    with table.open("a") as file:
        file.write(f"\n{table.parent.resolve()}/im/0.png,a")
    assert _read(table).unused == {"rows that repeat another": 1}


@pytest.mark.parametrize("key", ["images", "columns"])
def test_the_keys_of_a_table_need_a_table(key: str) -> None:
    value = {"images": "images", "columns": {"label": "x"}}[key]
    with pytest.raises(ValidationError, match=naming(key, "folder")):
        DataSettings(source="folder", path="data", **{key: value})


@pytest.mark.parametrize("name", ["table.xlsx", "missing.csv", "folder"])
def test_a_path_that_is_no_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "table.xlsx").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=naming("data.path", tmp_path / name)):
        prepared_key(DataSettings(source="table", path=tmp_path / name), 0)


def test_the_order_of_the_rows_does_not_change_the_data(write: Write, prepared: Prepared) -> None:
    rows = _rows()
    table = write("path,label", *rows)
    first = prepared(source="table", path=table).info
    table.write_text("\n".join(["path,label", *reversed(rows)]))
    assert prepared(source="table", path=table).info == first


def test_the_key_follows_the_table_and_the_images_that_it_names(
    write: Write, save_image: SaveImage
) -> None:
    table = write("path,label", *_rows(), "gone.jpg,a")
    settings = DataSettings(source="table", path=table, max_corrupt_share=0.5)
    keys = [prepared_key(settings, 0)]
    (table.parent / "retort.db").write_text("this file is not named")
    assert prepared_key(settings, 0) == keys[0]
    save_image(table.parent / "im" / "0.png", size=(9, 9))
    keys.append(prepared_key(settings, 0))
    save_image(table.parent / "gone.jpg")
    keys.append(prepared_key(settings, 0))
    os.utime(table, (1, 1))
    keys.append(prepared_key(settings, 0))
    keys.append(prepared_key(settings.model_copy(update={"image_size": 64}), 0))
    assert len(set(keys)) == len(keys)


def test_links_are_resolved_once_for_each_folder(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each image, of which there may be 100,000."""
    table, original, calls = write("path,label", *_rows(400)), os.path.realpath, []

    def counted(path: str, **options: bool) -> str:
        calls.append(path)
        return original(path, **options)

    monkeypatch.setattr(os.path, "realpath", counted)
    assert len(_read(table).training.labels) == 400
    assert 0 < len(calls) < 20


def test_labels_are_those_of_the_rows_in_every_part(write: Write, prepared: Prepared) -> None:
    rows = [f"{number}.png,{number % 3}" for number in range(30)]
    dataset = prepared(source="table", path=write("path,label", *rows), in_memory="1B")
    for name in PARTS:
        part = getattr(dataset, name)
        stems = [int(Path(part.pictures.name(index)).stem) for index in range(len(part))]
        assert np.array_equal(part.labels, np.array(stems) % 3)
