"""The rows of results.csv: the teacher, and each student that was tested."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from search.config.study import Study
from search.objectives.limits import LATENCY, MACS, PARAMETERS, SIZE
from search.objectives.metrics import ACCURACY
from search.records import Cost, Quality, TrialRecord
from search.storage.storage import Store
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = (
    "data", "student", "stage", "seed", "epochs", "test_accuracy", "parameters", "size_bytes",
    "macs", "latency_ms", "core_seconds",
)  # fmt: skip
# The parameters without which a row would not tell what the student is.
_ALWAYS_TOLD = ("model", "ratio")
_IDENTITY = ("data", "student", "stage", "seed", "epochs")

Row = Mapping[str, str]


def rows_of(data: str, study: Study, store: Store) -> Iterator[Row]:
    """Yield a row for the teacher, and for each student with a test accuracy.

    Args:
        data: the yardstick's name.
        study: the study.
        store: the store with its results.
    """
    teacher = store.study(study.study).teacher
    if teacher is not None and teacher.test:
        schedule = study.teachers[0].schedule
        epochs = schedule.epochs if schedule else 0
        identity = (data, teacher.name, "teacher", study.seed, epochs)
        yield _row(identity, teacher.test, teacher.cost, seconds=None)
    space = study.search_space()
    for trial in store.trials(study.study, whole=True):
        if trial.test and trial.outcome and trial.outcome.cost:
            identity = (data, student_text(trial, space), trial.kind, trial.seed, _epochs(trial))
            seconds = trial.outcome.duration_s * study.run.cpus
            yield _row(identity, trial.test, trial.outcome.cost, seconds=seconds)


def append_new(
    file: Path,
    rows: Iterator[Row],
    *,
    columns: Sequence[str] = COLUMNS,
    identity: Sequence[str] = _IDENTITY,
) -> int:
    """Append the rows that the CSV lacks; return their number.

    Args:
        file: the CSV; it is made if there is none.
        rows: the rows.
        columns: the columns.
        identity: the columns by which rows are the same.
    """
    known = {tuple(row[key] for key in identity) for row in read(file)}
    new = [row for row in rows if tuple(row[key] for key in identity) not in known]
    is_empty = not file.exists()
    with file.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, columns, lineterminator="\n")
        if is_empty:
            writer.writeheader()
        writer.writerows(new)
    return len(new)


def read(file: Path) -> list[Row]:
    """Return the CSV's rows; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def table(file: Path, data: str) -> Sequence[str]:
    """Return a Markdown table of one yardstick's rows, the most accurate first."""
    rows = sorted(
        (row for row in read(file) if row["data"] == data),
        key=lambda row: -float(row["test_accuracy"]),
    )
    head = ["| " + " | ".join(COLUMNS[1:]) + " |", "|---" * (len(COLUMNS) - 1) + "|"]
    return [*head, *("| " + " | ".join(row[key] for key in COLUMNS[1:]) + " |" for row in rows)]


def _row(identity: Sequence[object], test: Quality, cost: Cost, *, seconds: float | None) -> Row:
    latency = cost.get(LATENCY.cost)
    values = (
        *identity,
        f"{test[ACCURACY.name].value:.4f}",
        *(f"{cost[limit.cost]:.0f}" for limit in (PARAMETERS, SIZE, MACS)),
        "" if latency is None else f"{latency:.3f}",
        "" if seconds is None else f"{seconds:.0f}",
    )
    return dict(zip(COLUMNS, map(str, values), strict=True))


def student_text(trial: TrialRecord, space: SearchSpace) -> str:
    """Return each method of the recipe, with its searched parameters, its model and its ratio."""
    distributions = space.distributions()
    words = []
    for axis in space.axes:
        method = str(trial.params[axis])
        prefix = f"{axis}.{method}."
        searched = [
            f"{key.removeprefix(prefix)} {value:.3g}" if isinstance(value, float)
            else f"{key.removeprefix(prefix)} {value}"
            for key, value in trial.params.items()
            if key.startswith(prefix)
            and (distributions[key].count() > 1 or key.removeprefix(prefix) in _ALWAYS_TOLD)
        ]  # fmt: skip
        words.append(f"{method} ({', '.join(searched)})" if searched else method)
    return ", ".join(words)


def _epochs(trial: TrialRecord) -> int:
    return Recipe.from_params(trial.params).training.epochs
