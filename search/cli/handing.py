"""Commands that hand results over: export, dashboard."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.browsing import choose
from search.cli.options import DEFAULT_STORE, Json, StoreUrl, StudyName, named_or_latest
from search.cli.terminal import say, write_json
from search.store import Store


def export(
    trial: Annotated[
        int | None, typer.Argument(min=0, help="The trial; by default the best in the budget.")
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    *,
    destination: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write.", show_default=False)
    ],
    study: StudyName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a student's folder: weights, recipe, ONNX, model card, checksums."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record = opened.study(name)
        student = (
            choose(record, opened.trials(name)) if trial is None else opened.trial(name, trial)
        )
    # Torch takes seconds to import: only once there is something to export.
    from search.export import export_student

    folder = export_student(record, student, destination, force=force)
    if as_json:
        write_json({"study": name, "trial": student.number, "folder": str(folder)})
    else:
        say(f"trial {student.number} of {name} is in {folder}")


def dashboard(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    insist: Annotated[
        bool, typer.Option("--insist", help="Listen on another address without a login.")
    ] = False,
) -> None:
    """Open the dashboard of a store in the browser; Ctrl-C ends it."""
    from dashboard.launch import launch

    raise typer.Exit(launch(store, study=study, host=host, port=port, insist=insist))
