import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("package", ["search", "spaces", "dashboard"])
def test_a_top_level_name_resolves_to_ours_from_any_folder(package: str, tmp_path: Path) -> None:
    code = f"import {package}; print({package}.__file__)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == CHECKOUT / package / "__init__.py"


def test_the_presets_are_found_from_any_folder(tmp_path: Path) -> None:
    code = "from search.config.presets import preset_names; print(*preset_names())"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "digits" in found.stdout.split()


@pytest.mark.parametrize(
    "file",
    [
        "search/py.typed",
        "spaces/py.typed",
        "dashboard/py.typed",
        "search/export/model_card.md.jinja",
        "dashboard/report/report.html.jinja",
    ],
)
def test_what_is_no_python_lies_in_a_package_of_the_wheel(file: str) -> None:
    assert (CHECKOUT / file).is_file()
    assert (CHECKOUT / file).with_name("__init__.py").is_file()
    wheel = _project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert file.split("/")[0] in wheel["packages"]
    assert wheel.keys() == {"packages"}, "an include or an exclude may leave it out"


def test_hooks_before_a_commit_run_the_projects_own_tools() -> None:
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    tools = {tuple(hook["entry"].split()[:3]) for hook in hooks}
    assert tools == {(".venv/bin/python", "-m", "ruff")}


def test_every_installed_package_is_pinned() -> None:
    names = [line for line in _constraints() if line and not line.startswith("#")]
    assert names
    assert [line for line in names if "==" not in line] == []


def test_constraints_name_no_host() -> None:
    assert [line for line in _constraints() if "://" in line or "@" in line] == []


def _project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def _constraints() -> list[str]:
    return (CHECKOUT / "constraints.txt").read_text().splitlines()
