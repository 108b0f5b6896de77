"""Commands that check and measure students: verify, evaluate, profile, agent."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from search.cli.browsing import OutputFormat
from search.cli.evaluation_tables import EvaluatedRows, show_evaluation
from search.cli.options import Json, path, path_or_name
from search.cli.terminal import out, say, write_json
from search.errors import BadInput
from search.files.atomic import file_written_whole
from search.objectives.budget import Budget, doubt_text
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.limits import LATENCY
from search.objectives.units import format_bytes, parse_bytes
from search.targets.agent import DEFAULT_PORT
from search.targets.agent_limits import MOST_BYTES, AgentLimits, half_of_memory
from search.targets.agent_request import TOKEN_VARIABLE

if TYPE_CHECKING:
    from search.export.checks import Check
    from search.targets.agent_client import Profile

Folder = Annotated[
    Path,
    typer.Argument(
        help="The folder that `retort export` wrote.",
        metavar="DIR",
        show_default=False,
        parser=path,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The images: a study file, whose data settings are used; or the path of the student's "
        "own data; or `recorded`, to open the data that the student's folder names.",
        parser=path,
    ),
]
Cache = Annotated[Path, typer.Option(help="The folder of prepared data.", parser=path)]
Threads = Annotated[int, typer.Option(min=1, help="Threads that the runtime uses for one image.")]
_CACHE = Path("~/.cache/retort")
_MARKS = {True: "[green]passed[/] ", False: "[red]failed[/] ", None: "[dim]skipped[/]"}


class EvaluatedPart(StrEnum):
    """The part of the data on which models are evaluated."""

    TEST = "test"
    VALIDATION = "validation"


def verify(
    folder: Folder,
    data: Data = None,
    *,
    cache: Cache = _CACHE,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run code of the folder: model.pt2, a changed preprocess.py."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check an exported student: its checksums, formats, test metrics, costs and budget."""
    from search.export.verify import verify as checks_of

    found: list[Check] = []
    with out.status("checking the files") as spinner:

        def progress(text: str) -> None:
            spinner.update(escape(text))

        for check in checks_of(folder, data=data, cache=cache, trust=trust, progress=progress):
            found.append(check)
            if not as_json:
                _print_check(check)
    failed = [check for check in found if check.holds is False]
    if as_json:
        write_json([{"check": c.name, "holds": c.holds, "found": c.found} for c in found])
    else:
        skipped = sum(check.holds is None for check in found)
        passed = len(found) - len(failed) - skipped
        say(f"{len(found)} checks: {passed} passed, {len(failed)} failed, {skipped} skipped")
    if failed:
        raise typer.Exit(1)


def _print_check(check: "Check") -> None:
    mark = _MARKS[check.holds]
    name = f"[bold]{escape(f'{check.name:<18}')}[/]"
    out.print(f"{mark} {name} {escape(check.found)}", highlight=False, soft_wrap=True)


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Exported folders, ONNX files or names of timm models.",
            show_default=False,
            parser=path_or_name,
        ),
    ],
    data: Data = None,
    *,
    part: Annotated[
        EvaluatedPart, typer.Option(help="The images to evaluate on.")
    ] = EvaluatedPart.TEST,
    teacher: Annotated[
        str | None,
        typer.Option(help="The model that agreement is measured with.", parser=path_or_name),
    ] = None,
    threads: Threads = 1,
    cache: Cache = _CACHE,
    rows: Annotated[
        EvaluatedRows,
        typer.Option(
            help="What a row is: a model; a class of a model, with its recall; or a cell of a "
            "model's confusion matrix."
        ),
    ] = EvaluatedRows.MODELS,
    as_format: Annotated[
        OutputFormat, typer.Option("--format", help="The output format.")
    ] = OutputFormat.TABLE,
) -> None:
    """Compare students, teachers and other models on the same images, on this machine."""
    from search.evaluation.artifact import RECIPE
    from search.export.evaluate import evaluate as evaluate_models
    from search.export.images import open_images
    from search.export.record import read_export_record

    exported = [Path(name) for name in models if (Path(name) / RECIPE).is_file()]
    record = read_export_record(exported[0]) if exported else None
    goal, budget = (record.goal, record.budget) if record else (DEFAULT_GOAL, Budget())
    with out.status("preparing the images") as spinner:
        dataset = open_images(
            data, record, cache=cache, progress=lambda text: spinner.update(escape(text))
        )
        spinner.update("measuring")
        found = evaluate_models(
            models, dataset, part=part, teacher=teacher, threads=threads, budget=budget
        )
    title = f"{found[0].images:,} {part} images of {dataset.info.source}"
    floors = budget.floors()
    show_evaluation(found, goal, floors, rows=rows, as_format=as_format, title=title)


def profile(
    folder: Folder,
    *,
    on: Annotated[
        str,
        typer.Option(
            help="The machine: http://host:port of an agent, or ssh://[user@]host[:port]."
        ),
    ],
    threads: Threads = 1,
    python: Annotated[
        str,
        typer.Option(
            help="With ssh://, the command of a Python there in which the runtime is installed."
        ),
    ] = "python3",
    as_json: Json = False,
) -> None:
    """Measure a student's latency and memory on another machine."""
    from search.evaluation.artifact import read_provenance
    from search.export.record import read_export_record
    from search.targets.agent_client import ask_agent
    from search.targets.ssh import ask_over_ssh

    record, runtime = read_export_record(folder), read_provenance(folder).served_by
    file = folder / runtime.file
    with out.status(f"measuring on {escape(on)}"):
        if on.startswith("ssh:"):
            found = ask_over_ssh(on, file, threads=threads, python=python, runtime=runtime.name)
        elif on.startswith(("http:", "https:")):
            found = ask_agent(on, file, threads=threads, runtime=runtime.name)
        else:
            raise BadInput(
                f"--on must be ssh://[user@]host[:port] or http://host:port, but got {on!r}"
            )
    if as_json:
        write_json(found.to_json())
    else:
        _print_profile(found, recorded_ms=record.measured.cost.get(LATENCY.cost))


def _print_profile(found: "Profile", *, recorded_ms: float | None) -> None:
    from search.targets.timing import timed_cost

    cost = timed_cost(found.latency)
    say(f"machine    {found.machine.processor}, {found.threads} thread(s), {found.machine.runtime}")
    p95, scatter = (LATENCY.format(one) for one in (found.latency.p95_ms, found.latency.scatter_ms))
    say(
        f"latency    {LATENCY.text(cost)}, 95th percentile {p95}, scatter {scatter}"
        + (f"; the search measured {LATENCY.format(recorded_ms)}" if recorded_ms else "")
    )
    if doubt := doubt_text(cost):
        say(doubt)
    say(
        f"memory     {format_bytes(found.model_memory_bytes)} for the student, "
        f"{format_bytes(found.process_memory_bytes)} with Python and the runtime"
    )


def agent(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = DEFAULT_PORT,
    max_size: Annotated[
        str, typer.Option(help="The largest file that the agent accepts.")
    ] = f"{MOST_BYTES // 10**6}MB",
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="The most memory for measuring a file; by default half of this machine's."
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="Write the agent as one file, for a machine without retort, and exit.",
            parser=path,
        ),
    ] = None,
) -> None:
    """Serve this machine as a target: measure the students that a search elsewhere sends.

    The variable RETORT_AGENT_TOKEN must hold a token.
    """
    from search.targets.agent import serve
    from search.targets.agent_package import packed_agent

    if write is not None:
        with file_written_whole(write) as temporary:
            temporary.write_bytes(packed_agent())
        say(f"wrote {write}; copy it to the other machine, and run there:")
        say(f"  {TOKEN_VARIABLE}=… python3 {write.name} serve --host ADDRESS")
        return
    try:
        memory_bytes = half_of_memory() if max_memory is None else parse_bytes(max_memory)
        limits = AgentLimits(file_bytes=parse_bytes(max_size), memory_bytes=memory_bytes)
        serve(host, port, limits=limits)
    except ValueError as error:
        raise BadInput(str(error)) from error
