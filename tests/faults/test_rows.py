"""Each row of the table of faults in docs/reliability.md is a test that bears its number."""

import ast
import re

from tests.faults.conftest import ROOT

ROWS = range(1, 46)


def test_every_fault_of_the_list_has_its_test() -> None:
    tested = {
        int(found[1])
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and (found := re.match(r"test_fault_(\d\d)_", node.name))
    }
    assert tested == set(ROWS)


def test_every_fault_of_the_list_is_told_of() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE)
    assert [int(number) for row in rows for number in row.split(",")] == list(ROWS)
