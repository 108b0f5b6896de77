"""The subcommands of `retort`."""

from importlib.metadata import version as version_of
from typing import Annotated, Any

import typer

from search.cli.lazy_commands import LazyCommand, LazyGroup
from search.cli.terminal import say

STARTS_EARLY = "starts early"
"""The object of a command's context in a process of the command's own: Ray may start at once."""

# The module of each command, in the order of the help.
_MODULES = {
    "demo": "searching",
    "init": "searching",
    "methods": "listing",
    "metrics": "listing",
    "limits": "listing",
    "settings": "listing",
    "plan": "searching",
    "run": "searching",
    "resume": "searching",
    "stop": "searching",
    "status": "overview",
    "trials": "browsing",
    "show": "browsing",
    "best": "browsing",
    "export": "exporting",
    "verify": "evaluating",
    "predict": "predicting",
    "evaluate": "evaluating",
    "profile": "evaluating",
    "agent": "evaluating",
    "report": "exporting",
    "dashboard": "exporting",
    "doctor": "doctor",
    "db": "store",
}


class _Commands(LazyGroup):
    """All subcommands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, module in _MODULES.items():
            self.add_command(LazyCommand(name, module))


def _show_version(wanted: bool) -> None:  # noqa: FBT001  typer's signature
    if wanted:
        say(f"retort {version_of('retort')}")
        raise typer.Exit


app = typer.Typer(
    name="retort",
    cls=_Commands,
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
