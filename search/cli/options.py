"""Options that several commands share."""

from typing import Annotated

import typer

from search.store import Store

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="RETORT_STORE",
        show_envvar=True,
        help="The store: sqlite:///file or postgresql+psycopg://….",
    ),
]
StudyName = Annotated[
    str | None, typer.Option("--study", help="The study; by default the one that changed last.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
Trial = Annotated[int, typer.Argument(help="The trial's number.", min=0)]

DEFAULT_STORE = "sqlite:///retort.db"


def named_or_latest(store: Store, study: str | None) -> str:
    """The study that is meant."""
    return study if study is not None else store.latest_study().name
