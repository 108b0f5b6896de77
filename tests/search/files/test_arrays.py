"""Row 36 of the faults: archives of arrays are looked at before anything is allocated."""

import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from search.files.arrays import mapped, read_npz
from search.files.reading import DamagedFile
from tests.messages import naming
from tests.search.bombs import npy_head, with_flag, write_header_bomb, write_zip, write_zip_bomb

FEW_BYTES = 20 * 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.npz"


def written(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refuse(path: Path, *facts: object) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFile, match=naming(*facts)):
            read_npz(path, ["images"])
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
    finally:
        tracemalloc.stop()


def test_what_was_asked_for_is_read_as_numpy_reads_it(path: Path) -> None:
    arrays = {
        "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["ant", "bee"]),
        "one": np.int64(3),
        "none": np.zeros((0, 5), np.float32),
    }
    for write in (np.savez, np.savez_compressed):
        write(path, other=np.array([{}]), **arrays)  # type: ignore[arg-type]
        found = read_npz(path, [*arrays, "missing"])
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
        assert all(found[name].dtype == np.asarray(arrays[name]).dtype for name in arrays)


def test_small_tables_that_repeat_themselves_are_read(path: Path) -> None:
    labels = np.zeros(2**22, np.int64)  # 32 MiB in 32 kB
    np.savez_compressed(path, images=labels)
    assert read_npz(path, ["images"])["images"].shape == labels.shape


def test_fault_36_a_head_that_announces_terabytes_is_refused(path: Path) -> None:
    write_header_bomb(path, "images")
    refuse(path, "'images'", f"{700_000 * 2048 * 2048:,}", 12)


def test_fault_36_three_megabytes_that_hold_three_gigabytes_are_refused(path: Path) -> None:
    write_zip_bomb(path, "images")
    assert path.stat().st_size < 4 * 10**6
    refuse(path, f"{3 * 2**30 + 128:,}")


def test_fault_36_an_archive_that_says_that_it_is_small_is_read_no_further(path: Path) -> None:
    write_zip_bomb(path, "images")
    content = path.read_bytes()
    sizes = np.uint32(3 * 2**30 + 128).tobytes()
    assert content.count(sizes) == 2
    path.write_bytes(content.replace(sizes, np.uint32(1000).tobytes()))
    refuse(path, "'images'")


def test_fault_36_an_archive_that_says_that_it_is_large_is_refused(path: Path) -> None:
    packed = npy_head((2**20,), "|u1") + b"few"
    write_zip(path, name="images.npy", packed=packed, size=2**20 + 128, method=0)
    refuse(path, "'images'")


@pytest.mark.parametrize(("flag", "reason"), [(0x1, "encrypted"), (0x20, "patched")])
def test_fault_36_an_entry_that_is_encrypted_or_patched_is_refused(
    flag: int, reason: str, path: Path
) -> None:
    with_flag(written(path, images=np.arange(3)), flag)
    refuse(path, "'images'", reason)


@pytest.mark.parametrize("method", [1, 12, 14, 93, 99])
def test_fault_36_an_entry_that_is_packed_otherwise_is_refused(method: int, path: Path) -> None:
    write_zip(path, name="images.npy", packed=b"packed", size=200, method=method)
    refuse(path, "'images'", method)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("|O", "object"),
        ("|V8", "V8"),
        ("<M8[s]", "datetime64[s]"),
        ("|S0", "S0"),
        ("<c16", "complex128"),
    ],
)
def test_fault_36_only_numbers_and_text_are_read(kind: str, told: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", npy_head((10**15,), kind))
    refuse(path, "'images'", told)


@pytest.mark.parametrize(
    "head",
    [
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 0xFFFF,
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x03\x00\x02\x00\x00\x00{}",
        b"\x93NUMPY\x01\x00\x02\x00{}",
        npy_head((1,), "|u1").replace(b"(1,)", b"(-1)").replace(b"|u1", b"|u1"),
        npy_head((1,), "<i8").replace(b"<i8", b"<i0"),
        b"no array",
        b"",
    ],
)
def test_fault_36_a_head_that_is_none_is_refused(head: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", head)
    refuse(path, "'images'")


def test_fault_36_what_is_no_file_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(DamagedFile):
        read_npz(path, ["images"])


def test_fault_36_archives_with_other_bytes_are_read_or_refused(path: Path) -> None:
    whole = io.BytesIO()
    np.savez_compressed(whole, images=np.arange(500) % 7, labels=np.arange(9))
    generator = random.Random(36)  # noqa: S311
    read = 0
    for _ in range(int(os.environ.get("RETORT_FUZZ_INPUTS", "400"))):
        content = bytearray(whole.getvalue())
        for _ in range(generator.randint(1, 3)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(content)
        try:
            read += len(read_npz(path, ["images"]))
        except DamagedFile as error:
            str(error).encode()  # can be printed
        except OSError:
            continue
    assert read  # else it tries one kind alone


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4", npy_head((2**40,), "<f8") + b"few"])
def test_fault_36_an_array_to_be_mapped_that_is_not_there_is_named(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "pixels.npy").write_bytes(content)
    with pytest.raises(DamagedFile, match=naming("pixels.npy")):
        mapped(tmp_path / "pixels.npy")


def test_an_archive_in_the_place_of_an_array_is_named(tmp_path: Path) -> None:
    with (tmp_path / "pixels.npy").open("wb") as file:
        np.savez(file, one=np.arange(3))
    with pytest.raises(DamagedFile, match=naming("pixels.npy")):
        mapped(tmp_path / "pixels.npy")
