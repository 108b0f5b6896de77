"""Readable names of classes."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from search.config.data_settings import DataSettings
from search.config.loader import load_study
from search.data.class_names import readable_names
from search.data.dataset import DataInfo, Dataset
from search.data.notes import notes
from search.data.prepare import prepared_key
from search.errors import DataError
from tests.messages import naming

Prepared = Callable[..., Dataset]
Fill = Callable[..., Path]

WNIDS = ("n01440764", "n02102040", "n03028079")
NAMED = {"n01440764": "tench", "n02102040": "English springer", "n03028079": "church"}
FORMS = {
    "names.json": json.dumps(NAMED),
    "names.csv": "wnid,name\n" + "\n".join(f"{key},{name}" for key, name in NAMED.items()),
    "plain.csv": "\n".join(f"{key};{name}" for key, name in NAMED.items()),
    "names.tsv": "\n".join(f"{key}\t{name}" for key, name in NAMED.items()),
    "names.txt": "\ufeff" + "\n".join(f"{key}  {name} " for key, name in NAMED.items()),
    "synsets": "\n".join(f"{key} {name}" for key, name in NAMED.items()),
}


@pytest.mark.parametrize("file", FORMS)
def test_a_file_names_classes_by_their_names_in_the_data(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(FORMS[file], encoding="utf-8")
    assert readable_names(str(tmp_path / file), WNIDS).names == tuple(NAMED.values())
    assert readable_names(NAMED, tuple(reversed(WNIDS))).names == tuple(reversed(NAMED.values()))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.txt", "stop\n3 wheels\nleft turn\n"),
        ("names.json", json.dumps(["stop", "3 wheels", "left turn"])),
        ("names.csv", "ClassId,SignName\n2,left turn\n0,stop\n1,3 wheels"),
        ("names.json", json.dumps({"00002": "left turn", "1": "3 wheels", "0": "stop"})),
    ],
)
def test_classes_that_are_numbers_are_named_by_number(
    tmp_path: Path, file: str, content: str
) -> None:
    (tmp_path / file).write_text(content)
    for classes in (("0", "1", "2"), ("00000", "00001", "00002")):
        names = readable_names(str(tmp_path / file), classes).names
        assert names == ("stop", "3 wheels", "left turn")
    assert readable_names(["stop", "3 wheels", "left turn"], ("0", "1", "2")).names == names


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ({"cat": "Cat"}, ["'cat'", "'n01440764'"]),
        ({**NAMED, "n02102040": "tench"}, ["'n01440764'", "'n02102040'", "'tench'"]),
        ({**NAMED, "n02102040": "n03028079"}, ["'n02102040'", "'n03028079'"]),
        ({**NAMED, "n02102040": " "}, ["'n02102040'", "''"]),
        ({**NAMED, " n02102040": "dog"}, ["'English springer'", "'dog'"]),
        (list(NAMED.values()), ["list", "'n01440764'"]),
    ],
)
def test_names_that_are_ambiguous_or_of_no_class_are_refused(
    given: Mapping[str, str] | Sequence[str], facts: Sequence[str]
) -> None:
    with pytest.raises(DataError, match=naming("data.class_names", *facts)):
        readable_names(given, WNIDS)


@pytest.mark.parametrize(
    ("file", "content", "facts"),
    [
        ("names.json", b'{"n01440764": 3}', ["mapping"]),
        ("names.json", b"{", ["JSON"]),
        ("names.csv", b"n01440764,tench,fish", ["line 1", 3]),
        ("names.txt", b"n01440764 t\xe9nch", ["UTF-8", "byte 12"]),
        ("missing.txt", None, []),
    ],
)
def test_a_file_that_holds_no_names_is_refused(
    tmp_path: Path, file: str, content: bytes | None, facts: Sequence[object]
) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=naming("data.class_names", file, *facts)):
        readable_names(str(tmp_path / file), WNIDS)


def test_a_list_does_not_name_classes_that_are_numbered_from_1() -> None:
    with pytest.raises(DataError, match=naming("data.class_names", "numbers from 0", "'1'")):
        readable_names(["stop", "go", "turn"], ("1", "2", "3"))


def test_classes_without_a_name_and_names_without_a_class_are_told() -> None:
    found = readable_names({"n01440764": "tench", "n00000001": "shark"}, WNIDS)
    assert found.names == ("tench", *WNIDS[1:])
    assert naming("1 of 3", "'n02102040'", "'n03028079'").search(found.fact)
    assert found.fact.endswith(": 1")


@pytest.mark.parametrize("given", [3, {}, [], {"a": 1}, [1]])
def test_other_values_are_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="class_names"):
        DataSettings(source="digits", class_names=given)  # type: ignore[arg-type]


def test_names_change_what_is_shown_and_nothing_else(
    tmp_path: Path, fill: Fill, prepared: Prepared
) -> None:
    folder = fill(tmp_path / "data", classes=WNIDS)
    plain = prepared(source="folder", path=folder)
    named = prepared(source="folder", path=folder, class_names=NAMED)
    assert named.info.classes == tuple(NAMED.values())
    assert named.info.class_ids == plain.info.class_ids == plain.info.classes == WNIDS
    assert named.info.digest == plain.info.digest
    assert np.array_equal(named.training.labels, plain.training.labels)
    assert any(naming("names of 3 of 3").search(line) for line in notes(named.info))
    assert DataInfo.from_json(json.loads(json.dumps(named.info.to_json()))) == named.info


def test_sources_of_numbered_classes_are_named_by_a_list(prepared: Prepared) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    info = prepared(source="digits", class_names=names).info
    assert info.classes == tuple(names)
    assert info.class_ids == tuple("0123456789")


def test_an_older_description_has_one_name_for_each_class(
    tmp_path: Path, fill: Fill, prepared: Prepared
) -> None:
    values = prepared(source="folder", path=fill(tmp_path / "data")).info.to_json()
    for key in ("original_classes", "read", "suggested_column"):
        del values[key]
    assert DataInfo.from_json(values).class_ids == ("ant", "bee")


def test_a_changed_file_of_names_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    keys = set()
    for text in ("zero\none", "zero\ntwo!"):
        file.write_text(text)
        keys.add(prepared_key(DataSettings(source="digits", class_names=str(file)), 0))
    assert len(keys) == 2


def test_paths_are_relative_to_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "study: table\n"
        "data: {source: table, path: t.csv, images: im, class_names: names.csv}\n"
        "teacher: {model: test_resnet, train: {}}\n"
        "space: {student: {timm: {model: test_resnet}}}\n"
    )
    data = load_study(tmp_path / "study.yaml", ['data.columns.image="{id}.jpg"']).data
    assert data.path == tmp_path / "t.csv"
    assert data.images == tmp_path / "im"
    assert data.class_names == str(tmp_path / "names.csv")
    assert data.columns is not None
    assert data.columns.image == "{id}.jpg"
