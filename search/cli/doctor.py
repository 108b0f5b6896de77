"""The command that checks this machine: doctor."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer
from rich.markup import escape

from search.cli.options import DEFAULT_STORE, Json, StoreUrl
from search.cli.terminal import out, write_json
from search.errors import StoreError
from search.objectives.units import format_bytes
from search.storage.storage import Store, safe_url

_LIBRARIES = (
    "torch", "torchvision", "timm", "torch-pruning", "ray", "optuna", "sqlalchemy",
    "streamlit",
)  # fmt: skip


def doctor(store: StoreUrl = DEFAULT_STORE, *, as_json: Json = False) -> None:
    """Check this machine: show its software and hardware, and whether the store opens."""
    facts = {
        "python": sys.version.split()[0],
        **{library: _installed(library) for library in _LIBRARIES},
        **_runtimes(),
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "int8": _int8(),
        "cuda": _cuda(),
        "disk": f"{format_bytes(shutil.disk_usage(Path()).free)} free",
        "store": _store(store),
    }
    if as_json:
        write_json(facts)
    else:
        for name, fact in facts.items():
            out.print(f"{name:<14} {escape(fact)}", highlight=False, soft_wrap=True)
    if any(fact.startswith(("missing", "broken")) for fact in facts.values()):
        raise typer.Exit(1)


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "missing: run make, or pip install -c constraints.txt -e ."


def _runtimes() -> dict[str, str]:
    """Return the version of each serving runtime by name, including those of plugins."""
    from search.targets.registry import OWN_RUNTIMES, runtime, runtime_names

    try:
        names, broken = runtime_names(), {}
    except ValueError as error:
        names, broken = tuple(OWN_RUNTIMES), {"plugins": f"broken: {error}"}
    return {name: runtime(name).version() for name in names} | broken


def _processor() -> str:
    from spaces.processor import processor_name

    return processor_name()


def _int8() -> str:
    from spaces.processor import multiplies_int8_exactly

    if multiplies_int8_exactly():
        return "exact (VNNI or dot-product instructions): int8 weights use all 8 bits"
    return "saturates on this CPU: int8 weights use only 7 bits, and may be no faster than float32"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none: students are trained on the CPU"
    return ", ".join(
        torch.cuda.get_device_name(device) for device in range(torch.cuda.device_count())
    )


def _store(url: str) -> str:
    try:
        with Store.open(url, read_only=True) as store:
            return f"{safe_url(url)}, {len(store.names())} studies"
    except StoreError as error:
        return str(error)
