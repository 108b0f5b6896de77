"""Check, upgrade or back up the store."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import DEFAULT_STORE, Json, StoreUrl, path
from search.cli.terminal import say, write_json
from search.storage.integrity import check_store, students_aside
from search.storage.storage import Store

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def check(store: StoreUrl = DEFAULT_STORE, *, as_json: Json = False) -> None:
    """Check the store and every artifact that it names. Changes nothing."""
    with Store.open(store, read_only=True) as opened:
        problems, studies = check_store(opened), len(opened.names())
        aside = students_aside(opened)
        schema = opened.schema()
    if as_json:
        write_json({"schema": schema, "studies": studies, "problems": problems, "aside": aside})
    else:
        say(f"schema {schema}, {studies} studies, {len(problems)} problems")
        for line in (*problems, *aside):
            say(f"  {line}")
    if problems:
        raise typer.Exit(1)


@app.command()
def upgrade(store: StoreUrl = DEFAULT_STORE) -> None:
    """Upgrade an older store to this version's schema, after a backup."""
    with Store.open(store) as opened:
        if opened.backup:
            say(f"upgraded to schema {opened.schema()}; backup: {opened.backup}")
        else:
            say(f"the store has schema {opened.schema()} already")


@app.command()
def backup(
    store: StoreUrl = DEFAULT_STORE,
    *,
    destination: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write.", show_default=False, parser=path),
    ] = None,
) -> None:
    """Copy the store into a file, which is a store too. The store may be in use."""
    with Store.open(store, read_only=True) as opened:
        path = opened.back_up(destination)
    say(f"backup {path}")
