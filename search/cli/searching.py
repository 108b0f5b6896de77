"""Commands that search: demo, init, plan, run."""

import json
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from search.cli.display import watching
from search.cli.options import (
    DEFAULT_STORE,
    Json,
    StoreUrl,
    named_or_latest,
    path,
    path_or_name,
    store_option,
)
from search.cli.summary import print_ending
from search.cli.terminal import out, say, write_json
from search.config.loader import load_study, study_from_dict
from search.config.presets import preset_names, preset_summary, preset_text
from search.config.study import Study
from search.errors import BadInput
from search.files.atomic import file_written_whole
from search.files.filestore import FolderStore
from search.records import TrialRecord
from search.storage.leases import lives
from search.storage.storage import Store

StudyFile = Annotated[Path, typer.Argument(help="The study file.", show_default=False, parser=path)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Values in place of the file's, such as search.trials=50."),
]

_DEMO = Path("retort-demo")


def demo() -> None:
    """Search on handwritten digits, in ./retort-demo: a few minutes on two cores."""
    _DEMO.mkdir(exist_ok=True)
    file = _DEMO / "study.yaml"
    with file_written_whole(file) as temporary:
        temporary.write_text(preset_text("digits"))
    storage = f"sqlite:///{_DEMO}/retort.db"
    with Store.open(storage) as store:
        taken = set(store.names())
    names = ("digits", *(f"digits-{number}" for number in range(2, len(taken) + 2)))
    name = next(name for name in names if name not in taken)
    places = {"study": name, "run.storage": storage, "run.artifacts": _DEMO / "artifacts",
              "run.cache": _DEMO / "cache"}  # fmt: skip
    study = load_study(file, [f"{key}={value}" for key, value in places.items()])
    best = _search(study, allow_code=False)
    _deliver(best, study)


def init(
    folder: Annotated[
        Path, typer.Argument(help="Where to write study.yaml.", parser=path)
    ] = Path(),
    *,
    preset: Annotated[str, typer.Option(help="Which ready study.")] = "digits",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the ready studies.")] = False,
) -> None:
    """Write a commented study.yaml: of digits, which runs as it is, or another to fill in."""
    if listing:
        for name in preset_names():
            say(f"{name:18} {preset_summary(name)}")
        return
    text = preset_text(preset)
    path = folder / "study.yaml"
    if path.exists() and not force:
        raise BadInput(f"{path} is there already: choose another folder, or pass --force")
    folder.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary:
        temporary.write_text(text)
    named = shlex.quote(str(path))
    say(f"wrote {path}; next:\n  retort plan {named}\n  retort run {named}")


def plan(study: StudyFile, overrides: Overrides = None, *, as_json: Json = False) -> None:
    """Check a study: its space, what of it fits, and the time and disk it takes. Runs nothing."""
    typed = load_study(study, overrides or [])
    # Torch takes seconds to import; `retort --help` and commands that only read a store avoid it.
    from search.cli.planning import print_plan
    from search.tuner.plan import plan_study

    with out.status("looking at the data") as spinner:
        planned = plan_study(typed, progress=lambda text: spinner.update(escape(text)))
    if as_json:
        write_json(planned.to_json())
    else:
        print_plan(planned, typed)


def run(
    study: StudyFile,
    overrides: Overrides = None,
    *,
    trials: Annotated[int | None, typer.Option(min=1, help="Recipes to train.")] = None,
    max_time: Annotated[str | None, typer.Option(help="Start no trial after, such as 2h.")] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let a teacher's `factory:` run its code.")
    ] = False,
) -> None:
    """Search for the best student that fits the budget."""
    changes = list(overrides or [])
    changes += [f"search.trials={trials}"] if trials else []
    changes += [f"search.max_time={max_time}"] if max_time else []
    typed = load_study(study, changes)
    _search(typed, allow_code=allow_code)


def resume(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study's name, or its file, changed or not; by default the study that changed "
            "last.",
            show_default=False,
            parser=path_or_name,
        ),
    ] = None,
    overrides: Overrides = None,
    *,
    store: StoreUrl = DEFAULT_STORE,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let a teacher's `factory:` run its code.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Go on though another store, or a newer copy of this one, has the artifacts.",
        ),
    ] = False,
) -> None:
    """Go on with a study: what was interrupted runs first, time and trials used stay used.

    A study's file says itself where its store is.
    """
    changes = list(overrides or [])
    if study and "=" in study:
        changes.insert(0, study)
        study = None
    if study and Path(study).is_file():
        _check_no_store(context, study, store)
        typed = load_study(Path(study), changes)
    else:
        typed = _stored(study, store, changes)
    _search(typed, allow_code=allow_code, again=True, take_over=take_over)


def stop(
    study: Annotated[
        str | None,
        typer.Argument(help="By default the study that changed last.", show_default=False),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
) -> None:
    """Ask a running search to end: running trials end first. It can be resumed."""
    with Store.open(store) as opened:
        name = named_or_latest(opened, study)
        lease = opened.ask_to_stop(name)
    if lease is None or lives(lease) is False:
        raise BadInput(f"{name} is not running: there is nothing to stop")
    say(
        f"asked {lease} to end {name}: its running trials end first; then\n"
        f"  retort resume {name}{store_option(store)}"
    )


def _check_no_store(context: typer.Context, study: str, store: str) -> None:
    """Refuse --store beside a study file."""
    source = context.get_parameter_source("store")
    if source and source.name == "COMMANDLINE":
        raise BadInput(
            f"--store must be left out where a study's file is given, as {study} says itself "
            f"where its store is: give run.storage={store}"
        )


def _stored(study: str | None, store: str, changes: list[str]) -> Study:
    """Return a study as the store keeps it, with these changes."""
    with Store.open(store) as opened:  # an older store is upgraded
        record = opened.study(named_or_latest(opened, study))
    if any(change.startswith("study=") for change in changes):
        raise BadInput("a study keeps its name; start a new one with `retort run`")
    places = {"run.storage": store, "run.artifacts": FolderStore.of(record.artifacts).parent}
    given = [f"{key}={json.dumps(str(value))}" for key, value in places.items()]
    return study_from_dict(record.config, given + changes)


def _search(
    study: Study, *, allow_code: bool, again: bool = False, take_over: bool = False
) -> TrialRecord:
    """Run the study, show its progress, and print what was found."""
    say(f"{study.study}: {study.budget}")
    with out.status("starting"):
        from search.pipeline.checks import check_study
        from search.run import resume_study, run_study

        check_study(study)  # before the store is made
    search = partial(resume_study, take_over=take_over) if again else run_study
    with Store.open(study.run.storage) as store:
        with watching(study, store) as callback:
            best = search(study, store, callback, allow_code=allow_code)
        print_ending(study, store, best)
    return best


def _deliver(best: TrialRecord, study: Study) -> None:
    from search.export.exporting import export_student

    with Store.open(study.run.storage, read_only=True) as store:
        record = store.study(study.study)
    folder = export_student(record, best, _DEMO / "student", force=True)
    say(f"checkpoint {folder.absolute()}")
