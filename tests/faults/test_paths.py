"""Paths as people write them, wherever they may: expanded, or refused by name."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from search.cli.app import app
from search.config.loader import load_study, study_from_dict
from search.config.study import Study
from search.errors import BadInput, StoreError, StudyFileError
from search.files.filestore import FolderStore
from search.files.paths import expanded, expanded_url
from search.storage.storage import Store
from search.storage.store_url import parse_address

STUDY: Mapping[str, object] = {
    "study": "digits",
    "data": {"source": "npz", "path": "images.npz"},
    "teacher": {"model": "test_resnet", "train": {}},
    "space": {"student": {"timm": {"model": "test_resnet"}}},
}
SECTIONS = {
    "data.path": {"source": "npz"},
    "data.unlabelled": {"source": "npz", "path": "images.npz"},
    "teacher.checkpoint": {"model": "test_resnet"},
    "teacher.exported": {},
    "run.artifacts": {},
    "run.cache": {},
    "run.storage": {},
}
NOWHERE = ("~no-such-person/x", "$NO_SUCH_VARIABLE/x", "a/${NO_SUCH_VARIABLE}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, a variable that names a folder, and an empty current folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    monkeypatch.delenv("RETORT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return home


def _written(key: str, path: str) -> Path:
    """A study's file that gives this path."""
    section, name = key.split(".")
    given = f"sqlite:///{path}" if name == "storage" else path
    file = Path("study.yaml")
    file.write_text(yaml.safe_dump({**STUDY, section: {**SECTIONS[key], name: given}}))
    return file


def _value(study: Study, key: str) -> str:
    section, name = key.split(".")
    part = study.teachers[0] if section == "teacher" else getattr(study, section)
    return str(getattr(part, name)).removeprefix("sqlite:///")


@pytest.mark.parametrize("key", SECTIONS)
def test_fault_44_a_study_files_paths_are_expanded(key: str, home: Path, tmp_path: Path) -> None:
    for given in ("~/x", "$HOME/x", "${HOME}/x"):
        assert _value(load_study(_written(key, given)), key) == f"{home}/x"
    study = load_study(
        _written(key, "~/x"), [f"{key}={'sqlite:///' * key.endswith('storage')}$PLACE/y"]
    )
    assert _value(study, key) == f"{tmp_path}/place/y"


@pytest.mark.parametrize("given", NOWHERE)
@pytest.mark.parametrize("key", SECTIONS)
def test_fault_44_what_can_not_be_expanded_is_refused_by_its_key(key: str, given: str) -> None:
    with pytest.raises(StudyFileError, match=rf"{key} .*{re.escape(given)}"):
        load_study(_written(key, given))


def test_fault_44_a_name_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    strange = tmp_path / "a$NO_SUCH_VARIABLE"
    strange.mkdir()
    (tmp_path / "~$draft.png").touch()
    assert expanded(str(strange)) == str(strange)
    assert expanded("~$draft.png") == "~$draft.png"
    study = load_study(_written("data.path", strange.name))
    assert _value(study, "data.path") == str(strange)
    stored = study_from_dict(study.model_dump(mode="json"))
    assert _value(stored, "data.path") == str(strange)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("plain/a~b", "plain/a~b"),
        ("~", "HOME"),
        ("~/a", "HOME/a"),
        ("a$", "a$"),
        ("$HOME", "HOME"),
        ("x/${HOME}", "x/HOME"),
    ],
)
def test_fault_44_a_path_is_expanded_as_a_shell_does(given: str, found: str, home: Path) -> None:
    assert expanded(given) == found.replace("HOME", str(home))


def test_fault_44_urls_of_files_are_absolute(home: Path) -> None:
    assert expanded_url("file://~/x") == expanded_url("file:///~/x") == f"file://{home}/x"
    assert expanded_url("file://$HOME/x") == f"file://{home}/x"
    for given in ("file://x", "file:x", "local://x"):
        with pytest.raises(ValueError, match=r"absolute path.*'x'"):
            expanded_url(given)
    with pytest.raises(StudyFileError, match=r"run\.artifacts .*'artifacts'"):
        load_study(_written("run.artifacts", "file://artifacts"))


def test_fault_44_a_urls_variables_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "ours")
    study = load_study(_written("run.artifacts", "s3://$BUCKET/students"))
    assert study.run.artifacts == "s3://ours/students"
    with pytest.raises(StudyFileError, match=r"run\.artifacts .*NO_SUCH_VARIABLE"):
        load_study(_written("run.artifacts", "s3://$NO_SUCH_VARIABLE/students"))


def test_fault_44_a_bad_urls_message_is_whole() -> None:
    with pytest.raises(StudyFileError, match=r"s3://bucket/folder: ") as raised:
        load_study(_written("run.artifacts", "s3://bucket/x?key=hush"))
    assert "hush" not in str(raised.value)


def test_fault_44_a_store_is_found_at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open("sqlite:///~/retort.db").close()
    assert (home / "retort.db").is_file()
    for url in ("sqlite:///$HOME/retort.db", "sqlite:///~/retort.db"):
        assert CliRunner().invoke(app, ["status", "--store", url]).exit_code == 0
        monkeypatch.setenv("RETORT_STORE", url)
        assert CliRunner().invoke(app, ["status"]).exit_code == 0
    assert parse_address("postgresql://u:a$HOME@host/x").password == "a$HOME"  # noqa: S105


@pytest.mark.parametrize("given", NOWHERE)
def test_fault_44_a_store_that_can_not_be_expanded_is_refused(given: str) -> None:
    with pytest.raises(StoreError, match=re.escape(given)):
        Store.open(f"sqlite:///{given}")
    with pytest.raises(BadInput, match=re.escape(given)):
        FolderStore.of(given)


@pytest.mark.parametrize(
    "command",
    [
        ("export", "0", "-o", "PATH"), ("report", "-o", "PATH"), ("db", "backup", "-o", "PATH"),
        ("plan", "PATH"), ("run", "PATH"), ("resume", "PATH"), ("init", "PATH"),
        ("verify", "PATH"), ("verify", "x", "--data", "PATH"), ("verify", "x", "--cache", "PATH"),
        ("predict", "PATH", "x"), ("predict", "x", "PATH"), ("evaluate", "PATH"),
        ("evaluate", "x", "--teacher", "PATH"), ("profile", "PATH", "--on", "http://x"),
        ("agent", "--write", "PATH"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_fault_44_commands_refuse_what_they_can_not_expand(command: tuple[str, ...]) -> None:
    given = "$NO_SUCH_VARIABLE/x"
    result = CliRunner().invoke(app, [part.replace("PATH", given) for part in command])
    assert result.exit_code == 2
    assert "NO_SUCH_VARIABLE" in result.output
    assert not list(Path().glob("*VARIABLE*"))


def test_fault_44_a_backup_is_written_at_home(home: Path) -> None:
    Store.open("sqlite:///retort.db").close()
    assert CliRunner().invoke(app, ["db", "backup", "--output=~/copy.db"]).exit_code == 0
    assert (home / "copy.db").is_file()
