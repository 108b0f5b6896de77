"""The subcommands of `retort`."""

from importlib.metadata import version as version_of
from typing import Annotated

import typer

from search.cli import (
    browsing,
    doctor,
    evaluating,
    exporting,
    listing,
    overview,
    predicting,
    searching,
    store,
)
from search.cli.terminal import say


def _show_version(wanted: bool) -> None:  # noqa: FBT001  typer's signature
    if wanted:
        say(f"retort {version_of('retort')}")
        raise typer.Exit


app = typer.Typer(
    name="retort",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version of retort.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Searches for the smallest, fastest student that still knows what its teacher knows."""


for command in (
    searching.demo,
    searching.init,
    listing.methods,
    listing.metrics,
    listing.limits,
    listing.settings,
    searching.plan,
    searching.run,
    searching.resume,
    searching.stop,
    overview.status,
    browsing.trials,
    browsing.show,
    browsing.best,
    exporting.export,
    evaluating.verify,
    predicting.predict,
    evaluating.evaluate,
    evaluating.profile,
    evaluating.agent,
    exporting.report,
    exporting.dashboard,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(store.app, name="db")
