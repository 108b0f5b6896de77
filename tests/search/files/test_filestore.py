"""Folder stores: folders written whole or not at all, in a folder and at a URL."""

import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from search.config.study import RunSettings
from search.errors import ArtifactError, BadInput, FolderStoreError
from search.files import filestore as folder_stores
from search.files import remote
from search.files.atomic import CHECKSUMS
from search.files.filestore import FolderStore
from tests.messages import naming


@pytest.fixture
def at_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """A folder store at a URL whose files are in `there`, with its copies beside."""
    monkeypatch.setattr(folder_stores, "COPIES", tmp_path / "copies")
    monkeypatch.setattr(folder_stores, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(folder_stores, "_LONG_PAUSES_S", (0.0, 0.1))
    return FolderStore.of(f"{(tmp_path / 'there').as_uri()}/artifacts")


@pytest.fixture(params=["folder", "url"])
def folder_store(
    request: pytest.FixtureRequest, tmp_path: Path, at_url: FolderStore
) -> FolderStore:
    return at_url if request.param == "url" else FolderStore.of(tmp_path / "there" / "artifacts")


def _there(tmp_path: Path, name: str = "one") -> Path:
    return tmp_path / "there" / "artifacts" / name


def _write(folder_store: FolderStore, name: str = "one", text: str = "weights") -> None:
    with folder_store.writing(name) as folder:
        (folder / "model").write_text(text)
        (folder / "inner").mkdir()
        (folder / "inner" / "more").write_text("more")


def test_what_was_written_is_read_and_listed_and_removed(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    assert folder_store.names() == []
    assert not folder_store.fetched("one").exists()
    _write(folder_store)
    _write(folder_store / "tested", "two")
    assert folder_store.names() == ["one", "tested"]
    assert (folder_store.fetched("one") / "inner" / "more").read_text() == "more"
    assert (_there(tmp_path) / "model").read_text() == "weights"
    folder_store.remove("one")
    assert folder_store.names() == ["tested"]
    assert not folder_store.fetched("one").exists()
    assert (folder_store / "tested").kept("two")


def test_what_was_written_again_is_read_again(folder_store: FolderStore) -> None:
    _write(folder_store)
    folder_store.fetched("one")
    _write(folder_store, text="other weights")
    assert (folder_store.fetched("one") / "model").read_text() == "other weights"


def test_nothing_is_there_of_what_failed_while_it_was_written(folder_store: FolderStore) -> None:
    with suppress(KeyboardInterrupt), folder_store.writing("one") as folder:
        (folder / "model").write_text("half")
        raise KeyboardInterrupt
    assert folder_store.names() == []


def test_another_machine_is_given_a_copy(
    at_url: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(at_url)
    monkeypatch.setattr(folder_stores, "COPIES", tmp_path / "copies of another")
    copy = at_url.fetched("one")
    assert copy.is_relative_to(tmp_path / "copies of another")
    assert (copy / "model").read_text() == "weights"


def test_a_copy_that_is_damaged_is_fetched_again(at_url: FolderStore) -> None:
    _write(at_url)
    (at_url.fetched("one") / "model").write_text("w")
    assert (at_url.fetched("one") / "model").read_text() == "weights"


def test_a_folder_without_its_list_is_not_there_and_neither_is_its_copy(
    at_url: FolderStore, tmp_path: Path
) -> None:
    """As an upload that was cut off leaves it: the list is put last."""
    _write(at_url)
    (_there(tmp_path) / CHECKSUMS).unlink()
    assert not at_url.fetched("one").exists()
    assert at_url.kept("one") is None
    assert at_url.names() == ["one"]  # so that what is left of it can be removed


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_fault_12_what_is_damaged_at_the_url_is_named_and_not_used(
    damage: str, at_url: FolderStore, tmp_path: Path
) -> None:
    _write(at_url)
    shutil.rmtree(at_url.folder)
    if damage == "changed":
        (_there(tmp_path) / "model").write_text("weighty")
    else:
        (_there(tmp_path) / "model").unlink()
    with pytest.raises(ArtifactError, match=naming(f"{at_url.address}/one", "model")):
        at_url.fetched("one")
    assert at_url.kept("one") is None
    assert not (at_url.folder / "one").exists()
    _write(at_url)
    assert at_url.kept("one")


@pytest.mark.parametrize("name", ["../../outside", "/outside", "..\\outside"])
def test_fault_32_a_list_that_names_files_outside_of_the_folder_writes_none_there(
    name: str, at_url: FolderStore, tmp_path: Path
) -> None:
    _write(at_url)
    shutil.rmtree(at_url.folder)
    (_there(tmp_path) / CHECKSUMS).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(ArtifactError, match=naming(repr(name))):
        at_url.fetched("one")
    assert not list(tmp_path.rglob("outside"))


def test_fault_36_a_list_of_a_gigabyte_is_not_read(at_url: FolderStore, tmp_path: Path) -> None:
    _write(at_url)
    with (_there(tmp_path) / CHECKSUMS).open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(ArtifactError, match=naming(CHECKSUMS, "16,777,216")):
        at_url.fetched("one")
    assert at_url.kept("one") is None


def test_a_url_that_takes_nothing_is_named_and_then_holds_nothing(
    at_url: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("a file in the way of a folder")
    with pytest.raises(FolderStoreError, match=naming(at_url.address)):
        _write(at_url)
    assert not (at_url.folder / "one").exists()
    (tmp_path / "there").unlink()
    assert not at_url.fetched("one").exists()


def test_who_looks_for_a_folder_while_it_is_put_does_not_hinder(
    at_url: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = remote.put
    seen: list[bool] = []

    def looked_for(files: object, folder: Path, root: str) -> None:
        seen.append(at_url.fetched("one").exists())
        put(files, folder, root)

    monkeypatch.setattr(remote, "put", looked_for)
    _write(at_url)
    assert seen == [False]
    assert at_url.kept("one")


def test_a_failure_that_passes_costs_a_second_try(
    at_url: FolderStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("a file in the way")

    def mend(pause_s: float) -> None:
        if pause_s:
            there.unlink()

    monkeypatch.setattr(folder_stores, "time", SimpleNamespace(sleep=mend))
    _write(at_url)
    assert at_url.kept("one")


def test_a_connection_that_died_is_made_anew(
    at_url: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(at_url)

    def dead(*_: object, **__: object) -> None:
        raise OSError("Socket is closed")

    kept, _ = fsspec.url_to_fs(at_url.address)
    for call in ("cat_file", "put_file", "ls"):
        monkeypatch.setattr(kept, call, dead)
    _write(at_url, "two")
    assert at_url.names() == ["one", "two"]


def test_a_url_whose_file_system_is_not_installed_is_refused_with_what_to_install() -> None:
    with pytest.raises(BadInput, match=naming("gs://bucket/here", "gcsfs")):
        FolderStore.of("gs://bucket/here").check()
    with pytest.raises(BadInput, match=naming("ink://well")):
        FolderStore.of("ink://well").check()


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("s3://key:secret@bucket/folder", "password"),
        ("s3://bucket/folder?token=secret", "options"),
        ("simplecache::s3://bucket", "options"),
        ("file:///a/../b", ".."),
        ("memory://here", "memory"),
    ],
)
def test_urls_that_cannot_be_a_folder_store_are_refused_without_their_secrets(
    address: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=naming(fault)) as caught:
        folder_stores.check_url(address)
    assert "secret" not in str(caught.value)


def test_a_study_says_where_artifacts_and_cache_are_by_path_or_url(tmp_path: Path) -> None:
    run = RunSettings.model_validate({"artifacts": "s3://bucket/artifacts/", "cache": tmp_path})
    assert str(FolderStore.of(run.artifacts) / "flowers") == "s3://bucket/artifacts/flowers"
    assert FolderStore.of(run.cache).folder == tmp_path
    assert (FolderStore.of(run.artifacts) / "flowers").parent == FolderStore.of(run.artifacts)
