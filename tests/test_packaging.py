import subprocess
import sys
from pathlib import Path

import pytest

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


def test_every_installed_package_is_pinned() -> None:
    names = [line for line in _constraints() if line and not line.startswith("#")]
    assert names
    assert [line for line in names if "==" not in line] == []


def test_constraints_name_no_host() -> None:
    assert [line for line in _constraints() if "://" in line or "@" in line] == []


def _constraints() -> list[str]:
    return (CHECKOUT / "constraints.txt").read_text().splitlines()
