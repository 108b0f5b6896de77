"""Summary of a finished search: the frontier, its picture, and the student and its teacher."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from search.analysis.pareto import frontier
from search.analysis.recommend import advise, reasons
from search.analysis.utilization import occupancy, occupancy_text
from search.cli.options import store_option
from search.cli.picture import draw_frontier
from search.cli.tables import recipe_text, trial_table
from search.cli.terminal import out, say
from search.config.resources import parallel_trials
from search.config.study import Study
from search.errors import DiskError
from search.files.filestore import FolderStore
from search.objectives.budget import cost_texts
from search.objectives.goal import Goal
from search.objectives.intervals import measured_text
from search.records import StudyRecord, TeacherRecord, TrialRecord
from search.storage.storage import Store


def print_ending(study: Study, store: Store) -> None:
    """Print the frontier as table and picture, and the chosen student next to the teacher.

    Raises:
        NoStudentFits: no student is within the budget.
    """
    record, trials = store.study(study.study), store.trials(study.study)
    assert record.teacher is not None
    picture = _draw_picture(trials, record, study.goal)
    out.print()
    found = frontier(trials, study.goal)
    table = trial_table(
        found,
        title="the frontier",
        goal=study.goal,
        teacher=record.teacher,
        floors=study.budget.floors(),
    )
    out.print(table)
    advice = advise(trials, study.budget, study.goal)
    best, student = advice.chosen, advice.shipped
    say(f"the chosen student: trial {best.number}, {recipe_text(best.params)}")
    for line in reasons(advice, study.budget, study.goal):
        say(line)
    # A refit has only test figures; beside them stand the validation figures of the chosen one.
    out.print(_comparison(best, student, record.teacher, study))
    out.print()
    options = f"{store_option(study.run.storage)} --study {study.study}"
    # A cluster may decide how many trials run at a time; then the number is not known here.
    is_known = study.run.ray == "local" or study.run.parallel
    workers = parallel_trials(study.run) if is_known else None
    elapsed_s = record.elapsed_s + record.finals_s
    busy = occupancy(trials, elapsed_s=elapsed_s, workers=workers)
    say(f"workers    {occupancy_text(busy)}")
    say(f"picture    {picture}")
    say(f"dashboard  retort dashboard{options}")
    say(f"export     retort export {student.number}{options} -o DIR")


def _draw_picture(trials: Sequence[TrialRecord], record: StudyRecord, goal: Goal) -> str:
    """Draw the frontier, and return the picture's path, or why it could not be written.

    A full disk raises no error here, because the search itself has succeeded.
    """
    path = FolderStore.of(record.artifacts).folder / "frontier.png"
    try:
        return str(draw_frontier(trials, record, goal, path))
    except DiskError as error:
        return f"none: {error}"


def _comparison(
    best: TrialRecord, student: TrialRecord, teacher: TeacherRecord, study: Study
) -> Table:
    """Return a table of the student, the teacher, and the ratio of their costs.

    Args:
        best: the trial that was chosen on the validation images.
        student: the trial whose student is exported: `best`, or its refit.
        teacher: the teacher.
        study: the study, for its goal and its floors.
    """
    goal = study.goal
    assert best.outcome is not None
    assert student.outcome is not None
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("", "student", "teacher", "student ÷ teacher"):
        table.add_column(name, justify="left" if not name else "right")
    parts = {
        "validation": (best.outcome.quality, teacher.quality),
        "test": (student.test, teacher.test),
    }
    for metric in goal.all_metrics:
        for part, (own, other_quality) in parts.items():
            # Such a metric would compare the teacher with itself.
            other = "" if metric.uses_teacher else measured_text(metric, other_quality)
            table.add_row(f"{metric.label}, {part}", measured_text(metric, own), other, "")
    for floor in study.budget.floors():
        if floor.of_class is not None:
            for part, (own, other_quality) in parts.items():
                label = escape(f"{floor.label}, {part}")
                table.add_row(label, floor.text(own), floor.text(other_quality), "")
    own_cost, teacher_cost = student.outcome.cost or {}, teacher.cost
    own_texts, teacher_texts = cost_texts(own_cost), cost_texts(teacher_cost)
    for limit in goal.all_limits:
        mine, theirs = own_cost.get(limit.cost), teacher_cost.get(limit.cost)
        ratio = f"1/{theirs / mine:.1f}" if mine and theirs else ""
        table.add_row(limit.label, own_texts[limit.label], teacher_texts[limit.label], ratio)
    return table
