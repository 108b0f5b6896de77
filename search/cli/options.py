"""Options that several commands share."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from search.files.paths import expanded
from search.storage.storage import Store

DEFAULT_STORE = "sqlite:///retort.db"
STORE_VARIABLE = "RETORT_STORE"


def path_or_name(given: str | Path) -> str:
    """What a person gives, or a default; a shell leaves `--output=~/student` as it is."""
    try:
        return expanded(str(given))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def path(given: str | Path) -> Path:
    """A path as a person gives it."""
    return Path(path_or_name(given))


StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        show_envvar=True,
        help="The store: sqlite:///file or postgresql+psycopg://….",
    ),
]
StudyName = Annotated[
    str | None, typer.Option("--study", help="The study; by default the one that changed last.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
MaxSize = Annotated[str | None, typer.Option(help="Such as 2MB.")]
MaxLatency = Annotated[str | None, typer.Option(help="Such as 5ms.")]
MinAccuracy = Annotated[
    float | None, typer.Option(min=0, max=1, help="On validation images, 0 to 1.")
]
Trial = Annotated[int, typer.Argument(help="The trial's number.", min=0)]


def store_option(url: str) -> str:
    """What a command needs to find this store again: ` --store URL`, or nothing."""
    if url == os.environ.get(STORE_VARIABLE, DEFAULT_STORE):
        return ""
    # Another database's URL may hold a password: it is left to the environment.
    return f" --store {shlex.quote(url)}" if url.startswith("sqlite:") else ""


def named_or_latest(store: Store, study: str | None) -> str:
    """The study that is meant."""
    return study if study is not None else store.latest_study().name
