"""Commands that prepare and run searches: demo, init, plan, run, resume, stop."""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from search.analysis.finals import shipped
from search.cli.app import STARTS_EARLY
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
from search.cli.terminal import out, progress, say, write_json
from search.config.loader import load_study, peek_run, study_from_dict
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
    typer.Argument(help="Settings that replace the study's own, such as search.trials=50."),
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Allow the code of a teacher's `factory:` to run.")
]

_DEMO = Path("retort-demo")


def demo() -> None:
    """Search on handwritten digits, in ./retort-demo. It takes a few minutes on two cores."""
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
    _export_demo(best, study)


def init(
    folder: Annotated[
        Path, typer.Argument(help="The folder in which to write study.yaml.", parser=path)
    ] = Path(),
    *,
    preset: Annotated[str, typer.Option(help="The preset to write.")] = "digits",
    force: Annotated[
        bool, typer.Option("--force", help="Replace study.yaml if it exists.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the presets.")] = False,
) -> None:
    """Write a commented study.yaml. The preset `digits` runs unchanged; others need your data."""
    if listing:
        for name in preset_names():
            say(f"{name:18} {preset_summary(name)}")
        return
    text = preset_text(preset)
    path = folder / "study.yaml"
    if path.exists() and not force:
        raise BadInput(f"{path} exists already: choose another folder, or pass --force")
    folder.mkdir(parents=True, exist_ok=True)
    with file_written_whole(path) as temporary:
        temporary.write_text(text)
    quoted = shlex.quote(str(path))
    say(f"wrote {path}; next:\n  retort plan {quoted}\n  retort run {quoted}")


def plan(
    study: StudyFile,
    overrides: Overrides = None,
    *,
    as_json: Json = False,
    allow_code: AllowCode = False,
) -> None:
    """Check a study file; estimate what fits the budget, the time and the disk space."""
    typed = load_study(study, overrides or [])
    # Torch takes seconds to import; `retort --help` and commands that only read a store avoid it.
    from search.cli.planning import print_plan
    from search.tuner.plan import plan_study

    with progress("reading the data") as update:
        planned = plan_study(typed, progress=update, allow_code=allow_code)
    if as_json:
        write_json(planned.to_json())
    else:
        print_plan(planned, typed)


def run(
    context: typer.Context,
    study: StudyFile,
    overrides: Overrides = None,
    *,
    trials: Annotated[
        int | None, typer.Option(min=1, help="The number of recipes to train.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Start no trial after this time, such as 2h.")
    ] = None,
    allow_code: AllowCode = False,
) -> None:
    """Search for the best student that fits the budget."""
    changes = list(overrides or [])
    changes += [f"search.trials={trials}"] if trials else []
    changes += [f"search.max_time={max_time}"] if max_time else []
    with _early_workers(study, changes) if context.obj is STARTS_EARLY else nullcontext():
        typed = load_study(study, changes)
        _search(typed, allow_code=allow_code)


@contextmanager
def _early_workers(file: Path, changes: Sequence[str]) -> Iterator[None]:
    """Start the workers while the block imports torch, checks the study and prepares it."""
    settings = peek_run(file, changes)
    if settings is None:  # the block reports what is wrong
        yield
        return
    from search.ray_backend.local_cluster import workers_starting

    with workers_starting(settings):
        yield


def resume(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study's name, or its study file, which may have changed; by default the study "
            "that changed last.",
            show_default=False,
            parser=path_or_name,
        ),
    ] = None,
    overrides: Overrides = None,
    *,
    store: StoreUrl = DEFAULT_STORE,
    allow_code: AllowCode = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Resume although another store, or a newer copy of this one, holds the artifacts.",
        ),
    ] = False,
) -> None:
    """Resume an interrupted study, or give a study more trials or time.

    Interrupted trials run first. Trials and time that were used before still count. Finalists of
    earlier runs are kept, and new ones trained if the search found better recipes. If a study file
    is given, its run.storage names the store.
    """
    changes = list(overrides or [])
    if study and "=" in study:
        changes.insert(0, study)
        study = None
    if study and Path(study).is_file():
        _check_no_store(context, study, store)
        typed = load_study(Path(study), changes)
    else:
        typed = _stored_study(study, store, changes)
    _search(typed, allow_code=allow_code, again=True, take_over=take_over)


def stop(
    study: Annotated[
        str | None,
        typer.Argument(
            help="The study's name; by default the study that changed last.", show_default=False
        ),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
) -> None:
    """Ask a run to stop: at once while it prepares, else after its running trials.

    It can be resumed.
    """
    with Store.open(store) as opened:
        name = named_or_latest(opened, study)
        lease = opened.ask_to_stop(name)
    if lease is None or lives(lease) is False:
        raise BadInput(f"{name} is not running, so it can't be stopped")
    say(
        f"asked {lease} to stop {name}: at once while it prepares data and teacher, else once its "
        "running trials have ended; to resume it:\n"
        f"  retort resume {name}{store_option(store)}"
    )


def _check_no_store(context: typer.Context, study: str, store: str) -> None:
    """Refuse --store beside a study file."""
    source = context.get_parameter_source("store")
    if source and source.name == "COMMANDLINE":
        raise BadInput(
            f"--store must be left out if a study file is given: run.storage in {study} names the "
            f"store. To use another store, add run.storage={store}"
        )


def _stored_study(study: str | None, store: str, changes: list[str]) -> Study:
    """Return a study from the store, with these changes."""
    with Store.open(store) as opened:  # an older store is upgraded
        record = opened.study(named_or_latest(opened, study))
    if any(change.startswith("study=") for change in changes):
        raise BadInput("the name of a study can't change: start a new study with `retort run`")
    places = {"run.storage": store, "run.artifacts": FolderStore.of(record.artifacts).parent}
    given = [f"{key}={json.dumps(str(value))}" for key, value in places.items()]
    return study_from_dict(record.config, given + changes)


def _search(
    study: Study, *, allow_code: bool, again: bool = False, take_over: bool = False
) -> TrialRecord:
    """Run the study, show its progress, and print its results."""
    say(f"{study.study}: {study.budget}")
    with out.status("starting"):
        from search.cli.summary import print_ending
        from search.pipeline.checks import check_study
        from search.run import resume_study, run_study

        check_study(study)  # before the store is created
    search = partial(resume_study, take_over=take_over) if again else run_study
    with Store.open(study.run.storage) as store:
        with watching(study, store) as callback:
            best = search(study, store, callback, allow_code=allow_code)
        print_ending(study, store)
    return best


def _export_demo(best: TrialRecord, study: Study) -> None:
    from search.export.exporting import export_student

    with Store.open(study.run.storage, read_only=True) as store:
        record, trials = store.study(study.study), store.trials(study.study)
    student = shipped(best, trials, study.budget)
    folder = export_student(record, student, _DEMO / "student", force=True, trials=trials)
    say(f"exported   {folder.absolute()}")
