"""The floors of the house: what each package may import, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SEARCH_MODULES_OF_THE_DASHBOARD = {
    "search.analysis",
    "search.evaluation.sameness",
    "search.objectives",
    "search.errors",
    "search.evaluation.predictions_file",
    "search.files.filestore",
    "search.records",
    "search.storage",
    "search.files.text",
    "search.objectives.units",
}
PACKAGES = ("search", "spaces", "dashboard")


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in it, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively, which hides the floor"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(folder: str, forbidden: set[str], *, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(folder)
        if not path.relative_to(ROOT).as_posix().startswith(but)
        for name in imports(path)
        if name.partition(".")[0] in forbidden
    ]


def test_spaces_knows_nothing_of_how_choices_are_tried_or_stored_or_shown() -> None:
    above = {"search", "dashboard", "ray", "optuna", "sqlalchemy", "alembic", "streamlit"}
    assert offences("spaces", above) == []


def test_search_knows_nothing_of_the_dashboard() -> None:
    assert offences("search", {"dashboard", "streamlit"}, but=("search/cli",)) == []


def test_ray_is_known_to_its_backend_and_its_target() -> None:
    known = ("search/ray_backend/", "search/targets/ray_node.py")
    assert offences("search", {"ray"}, but=known) == []


def test_sql_is_known_to_the_storage_alone() -> None:
    assert offences("search", {"sqlalchemy", "alembic"}, but=("search/storage/",)) == []


def test_fault_39_the_preprocessing_that_is_exported_needs_numpy_and_pillow_alone() -> None:
    imported = {name.partition(".")[0] for name in imports(ROOT / "search/data/preprocess.py")}
    assert imported - sys.stdlib_module_names == {"numpy", "PIL"}


def room_of(module: str) -> str:
    """A package of `search`, or a file beside them; `spaces` and `dashboard` are one room each."""
    return ".".join(module.split(".")[: 2 if module.startswith("search.") else 1])


def test_no_room_imports_one_that_imports_it() -> None:
    sources = {path: path.relative_to(ROOT).with_suffix("") for f in PACKAGES for path in files(f)}
    graph: dict[str, set[str]] = {}
    for path, source in sources.items():
        room = room_of(".".join(source.parts))
        imported = {room_of(name) for name in imports(path) if name.partition(".")[0] in PACKAGES}
        graph.setdefault(room, set()).update(imported - {room})
    TopologicalSorter(graph).prepare()


def test_the_dashboard_knows_neither_networks_nor_ray_nor_sql() -> None:
    forbidden = {"torch", "timm", "ray", "spaces", "sqlalchemy", "alembic", "optuna", "onnxruntime"}
    assert offences("dashboard", forbidden) == []


def test_the_dashboard_knows_the_results_of_the_search_alone() -> None:
    strangers = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files("dashboard")
        for name in imports(path)
        if name.startswith("search.")
        and not any(name.startswith(f"{known}.") for known in SEARCH_MODULES_OF_THE_DASHBOARD)
    ]
    assert strangers == []


def test_what_the_dashboard_starts_with_loads_no_network_and_no_ray() -> None:
    # Views are pages that run as they are imported: what they import of the search stands for them.
    known = sorted(
        {
            name.rpartition(".")[0]
            for path in files("dashboard")
            for name in imports(path)
            if name.startswith("search.")
        }
    )
    own = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files("dashboard")
        if path.name != "__init__.py" and "views" not in path.parts and path.name != "app.py"
    ]
    code = (
        f"import importlib, sys\n"
        f"for name in {known + own}: importlib.import_module(name)\n"
        f"print(*(sys.modules.keys() & {{'torch', 'timm', 'ray', 'optuna', 'onnxruntime'}}))"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


@pytest.mark.parametrize(
    "path", [path for folder in PACKAGES for path in files(folder) if path.name == "__init__.py"]
)
def test_a_package_initialiser_holds_a_docstring_only(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    if path == ROOT / "search" / "export" / "__init__.py":
        body = body[:1]  # model cards in the world import `load` from there
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_no_file_of_the_dashboard_hides_another_module() -> None:
    # `streamlit run` puts dashboard/ first on the path.
    taken = {*PACKAGES, "tests", "streamlit", "pandas", "plotly", "numpy", *sys.stdlib_module_names}
    names = {path.stem for path in (ROOT / "dashboard").iterdir()} - {"__init__", "__pycache__"}
    assert names & taken == set()


def test_no_two_classes_have_one_name() -> None:
    """So that a name in a message or a search means one thing."""
    where: dict[str, list[str]] = {}
    for path in (path for package in PACKAGES for path in files(package)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in where.items() if len(found) > 1} == {}
