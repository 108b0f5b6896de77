"""Tables in files of different kinds."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from search.data.sources.table_file import read_table
from search.errors import DataError
from tests.messages import naming


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"id,name\n1,caf\xc3\xa9\n02,b\n"),
        ("t.csv", b"\xef\xbb\xbfid,name\r\n1,caf\xc3\xa9\r\n02,b\r\n\r\n"),
        ("t.csv", b"id;name\n1;caf\xc3\xa9\n02;b\n;\n"),
        ("t.csv", b'id| name\n1 |caf\xc3\xa9\n02|"b"\n'),
        ("t.tsv", b"id\tname\n1\tcaf\xc3\xa9\n02\tb"),
        ("t.CSV", "id\tname\n1\tcafé\n02\tb".encode("utf-16")),
    ],
)
def test_text_is_read_whatever_its_separator_and_its_mark(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert table.names == ("id", "name")
    assert (table.column("id"), table.column("name")) == (["1", "02"], ["café", "b"])
    assert [table.place(index) for index in range(len(table))] == ["line 2", "line 3"]


def test_quoted_values_hold_separators_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name,label\n"a,\nb","say ""x"""\n\nc,d\n')
    table = read_table(tmp_path / "t.csv")
    assert table.column("name") == ["a,\nb", "c"]
    assert table.column("label") == ['say "x"', "d"]
    assert [table.place(index) for index in range(2)] == ["line 2", "line 5"]


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        (b"", ["empty"]),
        (b"a,b\n1,2\n1,2,3\n", ["line 3", "3 values", "2 columns"]),
        (b"a,b\n1\n", ["line 2", "1 values"]),
        (b'a,b\n1,2\n"3,4\n5,6\n', ["line 3"]),
        (b"a,b\n1,2\ncaf\xe9,4\n", ["line 3", "byte 12", "UTF-8"]),
        (b"a,b\n", ["'a'", "'b'"]),
    ],
)
def test_damaged_text_is_refused_with_its_line(
    tmp_path: Path, content: bytes, facts: Sequence[str]
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=naming("t.csv", *facts)):
        read_table(tmp_path / "t.csv").column("a")


def test_parquet_holds_text_and_numbers(tmp_path: Path) -> None:
    columns = {
        "text": pyarrow.array(["a ", None, "b"]).dictionary_encode(),
        "whole": pyarrow.array([3, None, 12], pyarrow.int16()),
        "float": pyarrow.array([3.0, float("nan"), 0.5]),
        "truth": pyarrow.array([True, False, None]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.names == tuple(columns)
    assert [table.column(name) for name in columns] == [
        ["a", "", "b"], ["3", "", "12"], ["3", "", "0.5"], ["True", "False", ""],
    ]  # fmt: skip
    assert (len(table), table.place(0)) == (3, "row 1")


def test_images_inside_of_parquet_are_refused_with_what_to_do(tmp_path: Path) -> None:
    images = pyarrow.array([{"bytes": b"png", "path": "1.png"}])
    parquet.write_table(pyarrow.table({"image": images}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=naming("'image'", "dict", "files")):
        read_table(tmp_path / "t.parquet").column("image")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"a": list(range(1000))}), tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:-9])
    with pytest.raises(DataError, match=naming("t.parquet")):
        read_table(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(whole[:4] + bytes(200) + whole[204:])
    with pytest.raises(DataError, match=naming("t.parquet", "'a'")):
        read_table(tmp_path / "t.parquet").column("a")
