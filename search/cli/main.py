"""`retort`: every command, and how their errors reach the person."""

import os
import sys

import typer

from search.cli import browsing, checking, handing, keeping, listing, overview, proving, searching
from search.cli.terminal import complain
from search.errors import RetortError

app = typer.Typer(
    name="retort",
    help="Searches for the smallest, fastest student that still knows what its teacher knows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    searching.demo,
    searching.init,
    listing.methods,
    listing.settings,
    searching.plan,
    searching.run,
    searching.resume,
    searching.stop,
    overview.status,
    browsing.trials,
    browsing.show,
    browsing.best,
    handing.export,
    proving.verify,
    proving.predict,
    proving.evaluate,
    proving.profile,
    proving.agent,
    handing.report,
    handing.dashboard,
    checking.doctor,
):
    app.command()(command)
app.add_typer(keeping.app, name="db")


def main() -> None:
    """Runs the command; ends with 0, 1 failed, 2 bad input, 3 no student fits, 130 interrupted."""
    try:
        app()  # itself ends with 2 where its options are misused, and with 130 on Ctrl-C
    except RetortError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        # A full disk, a folder that can't be written: the person's to mend, not ours.
        complain(str(error))
        sys.exit(1)
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has had enough, such as `head`: Python must not try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
