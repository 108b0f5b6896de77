"""Distributions that add to retort, made for a test."""

from pathlib import Path


def write_plugin(folder: Path, module: str, source: str, *, named: str | None = None) -> None:
    """Writes a distribution of one module, of the release 1.0, into a folder of the path.

    Args:
        folder: is there.
        module: the module's name, and the distribution's.
        source: of the module.
        named: what its entry point names; by default the module.
    """
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[retort.plugins]\n{module} = {named or module}\n")
