"""Row 36 of the faults: what is read of a file that anybody may have written has a ceiling."""

import os
import zipfile
from pathlib import Path

import pytest

from search.files.reading import (
    MOST_JSON_BYTES,
    DamagedFile,
    check_archive,
    read_json,
    read_limited,
)
from tests.messages import naming


def test_a_file_is_read_up_to_its_ceiling(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_limited(tmp_path / "file", 5) == b"12345"
    with pytest.raises(DamagedFile, match=naming(5, 4)):
        read_limited(tmp_path / "file", 4)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_fault_36_what_is_no_regular_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pipe" if kind == "pipe" else Path(os.devnull)
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(DamagedFile):
        read_limited(path, 5)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        read_limited(tmp_path, 5)


def test_fault_36_json_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "recipe.json").open("wb") as sparse:
        sparse.truncate(2**30)
    with pytest.raises(DamagedFile, match=naming(f"{2**30:,}", f"{MOST_JSON_BYTES:,}")):
        read_json(tmp_path / "recipe.json")


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 5000, b"\xff", b""])
def test_fault_36_json_that_is_too_deep_or_damaged_is_one_error(
    text: bytes, tmp_path: Path
) -> None:
    (tmp_path / "recipe.json").write_bytes(text)
    with pytest.raises(DamagedFile):
        read_json(tmp_path / "recipe.json")


def test_fault_36_an_archive_that_is_packed_as_a_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(name, bytes(2**25))
    with pytest.raises(DamagedFile, match=naming(f"{3 * 2**25:,}")):
        check_archive(tmp_path / "a.pth")
