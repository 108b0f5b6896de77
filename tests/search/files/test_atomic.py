import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.files.atomic import (
    CHECKSUMS,
    alone,
    damaged_files,
    file_digest,
    remove_abandoned,
    written_whole,
)
from tests.messages import naming


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three files, written whole."""
    with written_whole(tmp_path / "folder") as temporary:
        (temporary / "weights").write_bytes(bytes(range(256)))
        (temporary / "inner").mkdir()
        (temporary / "inner" / "notes").write_text("text")
        (temporary / "zero").touch()
    return tmp_path / "folder"


def _fail_to_write(folder: Path) -> None:
    with written_whole(folder) as temporary:
        (temporary / "weights").write_text("half")
        raise OSError("disk full")


def test_a_folder_appears_with_its_files_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        CHECKSUMS,
        "inner",
        "weights",
        "zero",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_folder_does_not_appear_before_it_is_whole(tmp_path: Path) -> None:
    with written_whole(tmp_path / "folder") as temporary:
        (temporary / "first").write_text("1")
        assert not (tmp_path / "folder").exists()


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        _fail_to_write(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_earlier_folder_as_it_was(folder: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        _fail_to_write(folder)
    assert damaged_files(folder) == []
    assert (folder / "weights").read_bytes() == bytes(range(256))
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_an_earlier_folder_is_replaced_whole(folder: Path) -> None:
    with written_whole(folder) as temporary:
        (temporary / "other").write_text("2")
    assert sorted(path.name for path in folder.iterdir()) == [CHECKSUMS, "other"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_folders_above_are_created(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a" / "b" / "folder"):
        pass
    assert (tmp_path / "a" / "b" / "folder").is_dir()


def test_a_whole_folder_has_no_damage(folder: Path) -> None:
    assert damaged_files(folder) == []


def test_a_flipped_bit_is_found(folder: Path) -> None:
    content = bytearray((folder / "weights").read_bytes())
    content[100] ^= 1
    (folder / "weights").write_bytes(content)
    assert damaged_files(folder) == ["weights"]


def test_a_truncated_file_is_found(folder: Path) -> None:
    (folder / "weights").write_bytes(bytes(range(255)))
    assert damaged_files(folder) == ["weights"]


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder / "inner" / "notes").unlink()
    assert damaged_files(folder) == ["inner/notes"]


def test_a_file_that_became_a_folder_is_found(folder: Path) -> None:
    (folder / "zero").unlink()
    (folder / "zero").mkdir()
    assert damaged_files(folder) == ["zero"]


def test_a_missing_list_is_found(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()
    assert damaged_files(folder) == [CHECKSUMS]


def test_an_emptied_list_is_found(folder: Path) -> None:
    (folder / CHECKSUMS).write_text("")
    assert damaged_files(folder) == ["inner/notes", "weights", "zero"]


def test_a_list_that_was_cut_between_two_lines_is_found(folder: Path) -> None:
    lines = (folder / CHECKSUMS).read_text().splitlines(keepends=True)
    (folder / CHECKSUMS).write_text("".join(lines[:-1]))
    assert damaged_files(folder) == ["zero"]


def test_a_list_of_other_bytes_is_found(folder: Path) -> None:
    (folder / CHECKSUMS).write_bytes(b"\xff\xfe\x00")
    assert {"weights", "zero", "inner/notes"} <= set(damaged_files(folder))


OUTSIDE = ["../secret", "inner/../../secret", "/etc/passwd", "./weights", "inner//notes", "inner/",
           "..\\secret", "a\tb", "a\x1b[2J", "x" * 256, "y/" * 600 + "y"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_fault_32_a_name_outside_of_the_folder_is_refused_and_not_followed(
    name: str, folder: Path
) -> None:
    secret = folder.parent / "secret"
    secret.write_text("of this machine")
    with (folder / CHECKSUMS).open("a") as sums:
        sums.write(f"{file_digest(secret)}  {name}\n")
    (damaged,) = damaged_files(folder)
    assert damaged.startswith(repr(name))


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("name", ["weights", "inner"])
def test_fault_32_a_link_is_refused_and_not_followed(name: str, listed: bool, folder: Path) -> None:
    """Not even to what is as it is listed."""
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    if not listed:
        (folder / CHECKSUMS).write_text("")
    assert any(name in each for each in damaged_files(folder))


def test_fault_32_a_list_that_is_a_link_or_a_pipe_or_huge_is_damaged(folder: Path) -> None:
    (folder / CHECKSUMS).rename(folder.parent / "list")
    (folder / CHECKSUMS).symlink_to(folder.parent / "list")
    assert damaged_files(folder) == [CHECKSUMS]
    (folder / CHECKSUMS).unlink()
    os.mkfifo(folder / CHECKSUMS)
    assert damaged_files(folder) == [CHECKSUMS]
    (folder / CHECKSUMS).unlink()
    with (folder / CHECKSUMS).open("wb") as sparse:
        sparse.truncate(2**30)
    (damaged,) = damaged_files(folder)
    assert naming(CHECKSUMS, f"{2**30:,}", "16,777,216").search(damaged)


def test_fault_32_a_pipe_is_not_waited_for_listed_or_not(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert damaged_files(folder) == ["pipe"]
    (folder / "weights").unlink()
    os.mkfifo(folder / "weights")
    assert damaged_files(folder) == ["pipe", "weights"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs GNU's sha256sum")
def test_sha256sum_reads_the_list(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=folder, check=True)


def test_a_folder_that_holds_the_same_stays_where_its_readers_are(folder: Path) -> None:
    before = folder.stat().st_ino
    with written_whole(folder) as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True)
        (temporary / CHECKSUMS).unlink()
    assert folder.stat().st_ino == before
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_folder_that_was_damaged_is_replaced_by_the_same(folder: Path) -> None:
    with written_whole(folder) as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True)
        (temporary / CHECKSUMS).unlink()
        (folder / "weights").write_text("damaged")
    assert damaged_files(folder) == []


WRITER = """
import sys
from pathlib import Path
from search.files.atomic import written_whole
with written_whole(Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def _writer(destination: Path) -> subprocess.Popen[str]:
    """A process that is in the midst of writing, and goes on once it is told no more."""
    root = str(Path(__file__).parents[2])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(destination)],
        cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout
    assert writer.stdout.readline() == "writing\n"
    return writer


def test_fault_18_a_writer_that_is_killed_leaves_no_folder_and_what_it_leaves_is_removed_later(
    tmp_path: Path,
) -> None:
    destination = tmp_path / "folder"
    with _writer(destination) as writer:
        writer.kill()
    assert not destination.exists()
    assert len(list(tmp_path.iterdir())) == 1
    remove_abandoned(destination)
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_is_writing_is_not_removed(tmp_path: Path) -> None:
    destination = tmp_path / "folder"
    with _writer(destination) as writer:
        remove_abandoned(destination)
        writer.communicate("")
    assert writer.returncode == 0
    assert damaged_files(destination) == []


def test_the_leftovers_of_another_folder_are_not_removed(tmp_path: Path) -> None:
    others = [tmp_path / f".{name}.{'0' * 32}.old" for name in ("folder2", "folder.v2")]
    for other in others:
        other.mkdir()
    remove_abandoned(tmp_path / "folder")
    assert all(other.is_dir() for other in others)


def test_one_process_at_a_time_is_let_in_and_a_killed_one_is_out(tmp_path: Path) -> None:
    lock, said = tmp_path / "new" / ".lock", []
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        with alone(lock, waiting=lambda: None):
            os.write(writing, b"in")
            signal.pause()
    assert os.read(reading, 2) == b"in"

    def kill() -> None:
        said.append("waits")
        os.kill(child, signal.SIGKILL)

    with alone(lock, waiting=kill):
        assert said == ["waits"]
    with alone(lock, waiting=lambda: pytest.fail("nobody is in it")):
        os.waitpid(child, 0)


def test_where_there_can_be_no_lock_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with alone(tmp_path / "file" / ".lock", waiting=lambda: pytest.fail("waits")):
        pass
