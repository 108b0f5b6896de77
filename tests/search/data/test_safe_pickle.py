"""Row 31 of the faults: nothing that a pickle names is called, and no address of it followed."""

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.data.sources import safe_pickle
from search.data.sources.safe_pickle import read_pickle
from search.errors import DataError
from search.files.reading import DamagedFile
from tests.messages import naming
from tests.search.data.pickles_to_try import (
    ARRAY_OF_POINTERS,
    OBJECT_TYPE,
    SHAPE_OF_POINTERS,
    batch,
)

ROOT = Path(__file__).parents[3]
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
NUMBERS = OBJECT_TYPE.replace(b"O8", b"u1")
# As Python 2 and numpy 1.2 wrote CIFAR's own archives.
OF_PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x04dataq\x04" + EMPTY_ARRAY + b"q\x05"
    b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x06\x00\x00\x00\x00\x01\x80\xff\x7f\x02tbu."
)
OF_PYTHON_2_AS_TEXT = b"(dp1\nS'labels'\np2\n(lp3\nI6\naI9\nasS'data'\np4\nS'\\x00\\xff a'\np5\ns."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test_batch"


HARMFUL = {
    "an array of pointers": (ARRAY_OF_POINTERS, ["'O8'"]),
    "a shape of pointers": (SHAPE_OF_POINTERS, ["'O8'"]),
    "numpy.ndarray called": (b"cnumpy\nndarray\n(K\x01tR.", ["numpy.ndarray"]),
    "numpy.dtype called with fields": (b"cnumpy\ndtype\n((lp0\ntR.", []),
    "flags of a type": (NUMBERS[:-4] + b"K\x3ftb.", []),
    "fields of a type": (NUMBERS.replace(b"|NNN", b"|N})"), []),
    "an array of a name": (
        EMPTY_ARRAY + b"(K\x01K\x01\x85" + NUMBERS + b"\x89cnumpy\ndtype\ntb.",
        [],
    ),
    "more than its bytes": (EMPTY_ARRAY + b"(K\x01K\x09\x85" + NUMBERS + b"\x89C\x01AtbN.", [1]),
    "a shape below zero": (
        EMPTY_ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + NUMBERS + b"\x89C\x01Atb.",
        [],
    ),
    "an array that is filled twice": (
        EMPTY_ARRAY + (b"(K\x01K\x01\x85" + NUMBERS + b"\x89C\x01Atb") * 2 + b".",
        [],
    ),
    "a list that is built": (b"]}b.", []),
    "a function": (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", ["'os.system'"]),
    "a class of its own": (b"\x80\x02cnumpy\nndarray\n)\x81.", [b"\x81"]),
    "a registered extension": (b"\x82\x01.", [b"\x82"]),
    "a codec": (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", ["'rot13'"]),
}


@pytest.mark.parametrize(("content", "facts"), HARMFUL.values(), ids=HARMFUL.keys())
def test_fault_31_what_would_call_or_follow_is_refused_by_name(
    content: bytes, facts: list[object], file: Path
) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=naming(file, *facts)) as raised:
        read_pickle(file)
    # Refused for what it asks, and not because it happens to be malformed.
    refusal = raised.value.__cause__
    assert isinstance(refusal, DamagedFile)
    assert refusal.__cause__ is None


TOO_MUCH = {
    "an integer of two gigabytes": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "an integer of many digits": b"L" + b"9" * 5000 + b"L\n.",
    "an integer of 65 bits": b"\x8a\x09" + b"\xff" * 8 + b"\x00.",
    "bytes of 2^62": b"\x8e" + struct.pack("<Q", 2**62) + b"1.",
    "a bytearray of 2^40": b"\x96" + struct.pack("<Q", 2**40) + b"1.",
    "text of 4 gigabytes": b"X" + b"\xff" * 4 + b"a.",
    "one text encoded again and again": (
        b"c_codecs\nencode\np0\nV"
        + b"a" * 500
        + b"\np1\n]"
        + b"(g0\n(g1\nVlatin1\ntRe" * 100
        + b"."
    ),
    "keys that fall into one place": b"}K\x01Ns.",
    "keys as deep as the stack": b"}" + b")" + b"\x85" * 30_000 + b"Ns.",
}


@pytest.mark.parametrize("content", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_fault_31_no_more_is_made_than_the_file_holds(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=naming(file)):
        read_pickle(file)


def test_fault_31_a_file_larger_than_any_of_cifar_is_not_read(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(2**29 + 1)
    with pytest.raises(DataError, match=naming(file, "536,870,913")):
        read_pickle(file)


def test_fault_31_no_more_opcodes_are_followed_than_cifar_takes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_pickle, "_MOST_STEPS", 100)
    file.write_bytes(b"]" * 100 + b".")
    with pytest.raises(DataError, match=naming(file, 100)):
        read_pickle(file)


def test_fault_31_a_far_place_in_the_memo_takes_no_memory(file: Path) -> None:
    file.write_bytes(b"}r\xff\xff\xff\xff0j\xff\xff\xff\xff.")
    assert read_pickle(file) == {}


@pytest.mark.parametrize("old", [False, True], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", range(6))
def test_what_python_3_writes_is_read(protocol: int, old: bool, file: Path) -> None:
    content = pickle.dumps(batch(), protocol=protocol)
    if old:  # as long as the length of the name does not stand before it
        content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
    file.write_bytes(content)
    found = read_pickle(file)
    pixels = found.pop(b"data")
    assert np.array_equal(pixels, batch()[b"data"])  # type: ignore[arg-type]
    assert found == {b"labels": [3, 7], b"filenames": ["a.png", "b.png"], b"share": 0.5}


def test_what_python_2_wrote_is_read(file: Path) -> None:
    file.write_bytes(OF_PYTHON_2)
    found = read_pickle(file)
    assert np.array_equal(found[b"data"], [[0, 1, 128], [255, 127, 2]])  # type: ignore[arg-type]
    assert found[b"labels"] == [6, 9]
    file.write_bytes(OF_PYTHON_2_AS_TEXT)
    assert read_pickle(file) == {b"labels": [6, 9], b"data": b"\x00\xff a"}


def test_an_array_may_stand_in_columns_and_in_another_order_of_bytes(file: Path) -> None:
    values = np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))
    for protocol in (2, 5):
        file.write_bytes(pickle.dumps({b"data": values}, protocol=protocol))
        assert np.array_equal(read_pickle(file)[b"data"], values)  # type: ignore[arg-type]


def test_fault_31_hundreds_of_pickles_are_read_or_refused_and_none_ends_the_process() -> None:
    count = int(os.environ.get("RETORT_FUZZ_INPUTS", "400"))
    command = [sys.executable, "-m", "tests.search.data.pickles_to_try", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read, refused = map(int, done.stdout.split())
    assert read + refused == 2 * count + 10
    assert min(read, refused) > count / 20  # else it tries one kind alone
