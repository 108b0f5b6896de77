"""How a search ends on the terminal: the frontier, its picture, the student beside its teacher."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from search.analysis.pareto import frontier
from search.analysis.utilization import occupancy, occupancy_text
from search.cli.options import store_option
from search.cli.picture import draw_frontier
from search.cli.terminal import out, percent, recipe_text, say, trial_table
from search.config.resources import parallel_trials
from search.config.study import Study
from search.errors import DiskError
from search.files.filestore import FolderStore
from search.objectives.budget import cost_texts
from search.records import StudyRecord, TeacherRecord, TrialRecord
from search.storage.storage import Store


def print_ending(study: Study, store: Store, best: TrialRecord) -> None:
    """The frontier as a table and as a picture, and the chosen student next to the teacher."""
    record, trials = store.study(study.study), store.trials(study.study)
    assert record.teacher is not None
    picture = _drawn(trials, record)
    out.print()
    out.print(trial_table(frontier(trials), title="the frontier", teacher=record.teacher))
    say(f"the chosen student: trial {best.number}, {recipe_text(best.params)}")
    out.print(_comparison(best, record.teacher))
    out.print()
    named = f"{store_option(study.run.storage)} --study {study.study}"
    # Of a cluster that decides by itself how many run, this machine can't tell.
    told = study.run.ray == "local" or study.run.parallel
    workers = parallel_trials(study.run) if told else None
    found = occupancy(trials, elapsed_s=record.elapsed_s, workers=workers)
    say(f"workers    {occupancy_text(found)}")
    say(f"picture    {picture}")
    say(f"dashboard  retort dashboard{named}")
    say(f"export     retort export {best.number}{named} -o DIR")


def _drawn(trials: Sequence[TrialRecord], record: StudyRecord) -> str:
    """Where the picture of the frontier is, or why there is none: the search has ended well."""
    path = FolderStore.of(record.artifacts).folder / "frontier.png"
    try:
        return str(draw_frontier(trials, record, path))
    except DiskError as error:
        return f"none: {error}"


def _comparison(best: TrialRecord, teacher: TeacherRecord) -> Table:
    """Student and teacher side by side, and the student as a share of the teacher."""
    assert best.outcome is not None
    cost, quality = best.outcome.cost, best.outcome.quality
    assert cost is not None
    assert quality is not None
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("", "student", "teacher", "student ÷ teacher"):
        table.add_column(name, justify="left" if not name else "right")
    test = best.test.accuracy if best.test else None
    table.add_row("accuracy, validation", percent(quality.accuracy), percent(teacher.accuracy), "")
    table.add_row("accuracy, test", percent(test), percent(teacher.test_accuracy), "")
    table.add_row("agrees with the teacher", percent(quality.agreement), "", "")
    pairs = (
        (cost.size_bytes, teacher.cost.size_bytes),
        (cost.latency_ms or 0.0, teacher.cost.latency_ms or 0.0),
        (cost.parameters, teacher.cost.parameters),
        (cost.macs, teacher.cost.macs),
    )
    rows = zip(
        ("bytes", "latency, median", "parameters", "MACs"),
        cost_texts(cost),
        cost_texts(teacher.cost),
        pairs,
        strict=True,
    )
    for name, own, other, (student, whole) in rows:
        table.add_row(name, own, other, f"1/{whole / student:.1f}" if student and whole else "")
    return table
