"""Commands that export and show results: export, report, dashboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.analysis.finals import shipped, training_notes
from search.analysis.floor_notes import floor_notes
from search.analysis.ranking import Ranking
from search.cli.options import (
    DEFAULT_STORE,
    Json,
    Max,
    MaxLatency,
    MaxSize,
    Min,
    MinAccuracy,
    StoreUrl,
    StudyName,
    asked_budget,
    given_budget,
    given_floor,
    named_or_latest,
    path,
)
from search.cli.tables import objectives_text, quality_text, recipe_text
from search.cli.terminal import say, write_json
from search.errors import BadInput
from search.export.formats import ExportFormat
from search.files.atomic import file_written_whole
from search.objectives.budget import stored_budget
from search.objectives.goal import Goal, stored_goal
from search.records import TrialRecord
from search.storage.storage import Store


def export(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY] [TRIAL]",
            help="A study's name, a trial's number, or both; by default the best student within "
            "the budget of the study that changed last: its refit, if there is one.",
        ),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    *,
    destination: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The folder to write.", show_default=False, parser=path
        ),
    ],
    study: StudyName = None,
    max_size: MaxSize = None,
    max_latency: MaxLatency = None,
    more: Max = None,
    least: Min = None,
    min_accuracy: MinAccuracy = None,
    formats: Annotated[
        list[ExportFormat] | None,
        typer.Option("--format", help="Another format, beside the measured file; repeatable."),
    ] = None,
    hub: Annotated[
        str | None, typer.Option(help="Upload the folder to this Hugging Face model, user/name.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the folder if it exists.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a student as a folder: weights, recipe, served file, model card and checksums."""
    study, trial = _study_and_trial(named or [], study)
    budget = given_budget(max_size, max_latency, more, least)
    if trial is not None and (budget or least or min_accuracy is not None):
        raise BadInput("export takes a trial's number or limits, but got both: leave one out")
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record = opened.study(name)
        goal, trials = stored_goal(record.config), opened.trials(name)
        if trial is None:
            floor = given_floor(goal, least, min_accuracy)
            within = asked_budget(budget, stored_budget(record.config))
            best = Ranking(trials, goal).chosen(within, floor=floor)
            trial = shipped(best, trials, within).number
        student = opened.trial(name, trial)
    # Torch takes seconds to import: import it only once there is something to export.
    from search.export.exporting import export_student
    from search.export.hub import check_hub_name, push

    if hub:
        check_hub_name(hub)
    folder = export_student(
        record, student, destination, formats=formats or (), force=force, trials=trials
    )
    pushed = push(folder, hub) if hub else None
    if as_json:
        result = {"study": name, "trial": student.number, "folder": str(folder)}
        write_json(result | ({"hub": pushed} if pushed else {}))
        return
    notes = training_notes(student, trials, goal)
    notes += floor_notes(student, trials, stored_budget(record.config))
    _print_export(student, folder, goal, notes)
    if pushed:
        say(f"pushed to {pushed}")


def _print_export(trial: TrialRecord, folder: Path, goal: Goal, notes: Sequence[str]) -> None:
    from search.evaluation.artifact import read_provenance
    from search.export.loading_snippet import snippet

    outcome = trial.outcome
    assert outcome is not None
    tested = f"{quality_text(goal, trial.test)} on test images" if trial.test else "not tested"
    measured = objectives_text(goal, outcome.quality, outcome.cost or {})
    on_validation = " on validation images" if outcome.quality else ""
    say(f"trial {trial.number} of {trial.study} is in {folder}")
    say(f"  {recipe_text(trial.params)}")
    for note in notes:
        say(f"  {note}")
    say(f"  {measured}{on_validation}; {tested}")
    say(f"\nto check it again: retort verify {folder} --data recorded")
    provenance = read_provenance(folder)
    if code := snippet(provenance.served_by):
        say(f"to run it in its folder with {provenance.served_by.title}, NumPy and Pillow:\n")
        say(code)


def _study_and_trial(named: Sequence[str], study: str | None) -> tuple[str | None, int | None]:
    """Return the study and the trial that `[STUDY] [TRIAL]` names.

    A study whose name is a number needs --study.

    Raises:
        BadInput: two studies or two trials are given.
    """
    studies = [word for word in named if not word.isdecimal()] + ([study] if study else [])
    trials = [int(word) for word in named if word.isdecimal()]
    if len(studies) > 1 or len(trials) > 1:
        raise BadInput(
            f"export takes at most one study and one trial's number, but got {' '.join(named)}"
            + (f" and --study {study}" if study else "")
        )
    return next(iter(studies), None), next(iter(trials), None)


def report(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    destination: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write; by default STUDY.html.", parser=path
        ),
    ] = None,
) -> None:
    """Write a report of a study as one HTML file."""
    with Store.open(store, read_only=True) as opened:
        name = named_or_latest(opened, study)
        record, trials = opened.study(name), opened.trials(name)
        done = opened.training_done(name)
    # pandas and plotly take a second to import.
    from dashboard.report.document import ReportData
    from dashboard.report.document import report as made

    # A study file allows no slash in a name, but an edited store may hold one.
    path = destination or Path(f"{name.replace('/', '_')}.html")
    text = made(ReportData(study=record, trials=trials, done=done))
    with file_written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"the report of {name} is in {path}")


def dashboard(
    store: StoreUrl = DEFAULT_STORE,
    *,
    study: StudyName = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    insist: Annotated[
        bool,
        typer.Option(
            "--insist", help="Listen on an address that others can reach, without a login."
        ),
    ] = False,
) -> None:
    """Open the dashboard of a store in the browser; Ctrl-C stops it."""
    from dashboard.launch import launch

    if study is not None:
        with Store.open(store, read_only=True) as opened:
            opened.study(study)  # fails if there is no such study
    raise typer.Exit(launch(store, study=study, host=host, port=port, insist=insist))
