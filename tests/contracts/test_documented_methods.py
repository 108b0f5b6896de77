"""Each method that a page shows keeps, as it stands there, all that its axis promises."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pages import ROOT, code_block
from tests.plugins import write_plugin

pytestmark = pytest.mark.slow


def _passed(folder: Path, suites: Sequence[str], chosen: str) -> list[str]:
    """Run the chosen cases of the contract suites in `folder`; return those that passed."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-v", "-p", "no:cacheprovider", "-k"]
    files = [f"tests/contracts/test_{suite}.py" for suite in suites]
    done = subprocess.run(
        [*command, chosen, *files],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [line for line in done.stdout.splitlines() if " PASSED" in line]


def _tree(folder: Path) -> Path:
    """Make a copy of the repository to which files can be added."""
    shutil.copytree(ROOT / "spaces", folder / "spaces")
    for shared in ("search", "dashboard", "tests", "docs", "pyproject.toml"):
        (folder / shared).symlink_to(ROOT / shared)
    return folder


def test_the_distillation_of_architecture_keeps_its_contract_in_its_folder(
    tmp_path: Path,
) -> None:
    tree = _tree(tmp_path)
    example = code_block("ARCHITECTURE.md", "python", "class Logits")
    (tree / "spaces" / "distillation" / "logits.py").write_text(example)
    passed = _passed(tree, ["methods", "distillation"], "[logits or distillation-logits")
    assert sum("test_distillation.py" in line for line in passed) >= 20
    assert sum("test_methods.py" in line for line in passed) >= 8


@pytest.mark.parametrize(
    ("axis", "method", "cases"),
    [("students", "conv_tower", 10), ("pruning", "geometric_median", 20)],
)
def test_a_plugins_method_of_the_docs_keeps_its_contract(
    axis: str, method: str, cases: int, tmp_path: Path
) -> None:
    tree = _tree(tmp_path)
    example = code_block("docs/plugins.md", "python", f'"{method}"')
    write_plugin(tree, f"own_{method}", example)
    passed = _passed(tree, ["methods", axis], method)
    assert sum(f"test_{axis}.py" in line for line in passed) >= cases
    assert sum("test_methods.py" in line for line in passed) >= 8
