"""What each method and stage computes, compared with what its version did."""

import re
from pathlib import Path

import pytest

from search.targets.registry import OWN_RUNTIMES
from tests.versions.table import (
    COMMAND,
    STAGES,
    Fingerprint,
    changes,
    installed,
    read,
    subjects,
    unbumped,
    write,
)

ROOT = Path(__file__).parents[2]
# The version of a file format, which files state themselves.
FORMATS = {"spaces.quantization.weight_compression.decoders.VERSION"}


@pytest.mark.parametrize("name", subjects())
def test_what_is_computed_is_what_its_version_computed(name: str) -> None:
    known = read()[0].get(name)
    assert known, f"{name} has no fingerprint: add it to the table by `{COMMAND}`"
    found = subjects()[name]()
    assert known.version == found.version, (
        f"{name} is of version {found.version}, its fingerprint of version {known.version}: update "
        f"the table by `{COMMAND}`"
    )
    changed = changes(known.numbers, found.numbers)
    assert not changed, (
        f"{name} computes something else than version {known.version} did ({', '.join(changed)}): "
        f"bump its version and update the table by `{COMMAND}`"
    )


def test_the_table_tells_of_nothing_else() -> None:
    assert read()[0].keys() == subjects().keys()


def test_each_version_that_a_stage_states_has_a_fingerprint() -> None:
    stated = {
        ".".join([*path.relative_to(ROOT).with_suffix("").parts, name])
        for folder in ("search", "spaces")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"(?m)^(\w*VERSION) = \d+$", path.read_text())
    }
    runtimes = {f"{place.replace(':', '.')}.file_version" for place in OWN_RUNTIMES.values()}
    assert (stated - FORMATS) | runtimes == STAGES.keys()


@pytest.mark.parametrize(
    ("known", "found", "changed"),
    [
        ([2.0, 0.001], [2.003, 0.004], False),
        ([2.0, 0.001], [2.01, 0.001], True),
        ([2.0, 0.001], [2.0, 0.01], True),
        ([100_000], [100_001], True),
        ([1.0], [1.0, 1.0], True),
        ([1.0], [], True),
    ],
)
def test_other_rounding_is_no_change_and_other_numbers_are(
    known: list[float], found: list[float], *, changed: bool
) -> None:
    assert changes({"a": known, "b": [1]}, {"a": found, "b": [1]}) == ["a"] * changed


def test_a_change_without_another_version_is_told(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    before = {"a": Fingerprint(1, {"x": [1.0, 2]}), "b": Fingerprint(1, {"x": [1.0]})}
    write(before, table)
    assert read(table) == (before, installed())
    assert unbumped(before, {**before, "a": Fingerprint(2, {"x": [2.0, 2]})}) == []
    assert unbumped(before, {**before, "b": Fingerprint(1, {"x": [2.0]})}) == ["b"]
    assert unbumped(before, {"c": Fingerprint(1, {"x": [2.0]})}) == []
