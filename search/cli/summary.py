"""The end of a search on the terminal: frontier, picture, and student beside its teacher."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from search.analysis.pareto import frontier
from search.analysis.utilization import occupancy, occupancy_text
from search.cli.options import store_option
from search.cli.picture import draw_frontier
from search.cli.terminal import metric_text, out, recipe_text, say, trial_table
from search.config.resources import parallel_trials
from search.config.study import Study
from search.errors import DiskError
from search.files.filestore import FolderStore
from search.objectives.budget import cost_texts
from search.objectives.goal import Goal
from search.records import StudyRecord, TeacherRecord, TrialRecord
from search.storage.storage import Store


def print_ending(study: Study, store: Store, best: TrialRecord) -> None:
    """Print the frontier as table and picture, and the chosen student next to the teacher."""
    record, trials = store.study(study.study), store.trials(study.study)
    assert record.teacher is not None
    picture = _drawn(trials, record, study.goal)
    out.print()
    found = frontier(trials, study.goal)
    table = trial_table(found, title="the frontier", goal=study.goal, teacher=record.teacher)
    out.print(table)
    say(f"the chosen student: trial {best.number}, {recipe_text(best.params)}")
    out.print(_comparison(best, record.teacher, study.goal))
    out.print()
    named = f"{store_option(study.run.storage)} --study {study.study}"
    # A cluster may decide how many trials run at a time; this machine can't know the number.
    told = study.run.ray == "local" or study.run.parallel
    workers = parallel_trials(study.run) if told else None
    busy = occupancy(trials, elapsed_s=record.elapsed_s, workers=workers)
    say(f"workers    {occupancy_text(busy)}")
    say(f"picture    {picture}")
    say(f"dashboard  retort dashboard{named}")
    say(f"export     retort export {best.number}{named} -o DIR")


def _drawn(trials: Sequence[TrialRecord], record: StudyRecord, goal: Goal) -> str:
    """Return where the frontier's picture is, or why there is none: the search itself succeeded."""
    path = FolderStore.of(record.artifacts).folder / "frontier.png"
    try:
        return str(draw_frontier(trials, record, goal, path))
    except DiskError as error:
        return f"none: {error}"


def _comparison(best: TrialRecord, teacher: TeacherRecord, goal: Goal) -> Table:
    """Return student and teacher side by side, and the student as a share of the teacher."""
    assert best.outcome is not None
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("", "student", "teacher", "student ÷ teacher"):
        table.add_column(name, justify="left" if not name else "right")
    parts = {
        "validation": (best.outcome.quality, teacher.quality),
        "test": (best.test, teacher.test),
    }
    for metric in goal.all_metrics:
        for part, (own, taught) in parts.items():
            # A comparison of a teacher with itself shows nothing.
            other = "" if metric.uses_teacher else metric_text(metric, taught)
            table.add_row(f"{metric.label}, {part}", metric_text(metric, own), other, "")
    mine, whole = best.outcome.cost or {}, teacher.cost
    own_texts, whole_texts = cost_texts(mine), cost_texts(whole)
    for limit in goal.all_limits:
        student, other_cost = mine.get(limit.cost), whole.get(limit.cost)
        share = f"1/{other_cost / student:.1f}" if student and other_cost else ""
        table.add_row(limit.label, own_texts[limit.label], whole_texts[limit.label], share)
    return table
