"""The subcommands of `retort`."""

import typer

from search.cli import browsing, doctor, evaluating, exporting, listing, overview, searching, store

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
    evaluating.predict,
    evaluating.evaluate,
    evaluating.profile,
    evaluating.agent,
    exporting.report,
    exporting.dashboard,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(store.app, name="db")
