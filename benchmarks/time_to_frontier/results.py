"""Results of the runs, in two CSVs that are committed.

`runs.csv` has a row for each run, `students.csv` one for each student that moved its run's
frontier. Seconds and epochs count from a run's start; accuracies are on the test images.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.time_to_frontier.runs import Run
from benchmarks.time_to_frontier.traces import Student, Trace

_RUNS = (
    *("arm", "seed", "minutes", "seconds", "epochs", "finished", "fitting", "processor"),
    *("limit_ms", "pace_ms"),
)
_STUDENTS = ("arm", "seed", "minutes", "seconds", "epochs", "accuracy", "size_bytes", "latency_ms")

_Values = tuple[str | int | float, ...]


def read_traces(folder: Path) -> dict[Run, Trace]:
    """Return all traces in the folder's CSVs."""
    students: dict[Run, list[Student]] = defaultdict(list)
    for line in _read(folder / "students.csv"):
        students[_run(line)].append(_student(line))
    return {
        run: Trace(
            run=run,
            students=tuple(students[run]),
            seconds=float(line["seconds"]),
            epochs=int(line["epochs"]),
            finished=int(line["finished"]),
            fitting=int(line["fitting"]),
            processor=line["processor"],
            limit_ms=float(line["limit_ms"]),
            pace_ms=float(line["pace_ms"]),
        )
        for line in _read(folder / "runs.csv")
        for run in [_run(line)]
    }


def keep_trace(folder: Path, trace: Trace) -> None:
    """Add the trace to the folder's CSVs; it replaces an earlier one of the same run."""
    kept = read_traces(folder) | {trace.run: trace}
    runs = sorted(kept, key=lambda run: (run.arm, run.seed, run.minutes))
    _write(
        folder / "students.csv",
        _STUDENTS,
        (_student_values(run, student) for run in runs for student in kept[run].students),
    )
    # Written last: if a run has its row here, all its students are in the other file.
    _write(folder / "runs.csv", _RUNS, (_run_values(kept[run]) for run in runs))


def _run(line: Mapping[str, str]) -> Run:
    return Run(line["arm"], int(line["seed"]), float(line["minutes"]))


def _student(line: Mapping[str, str]) -> Student:
    return Student(
        seconds=float(line["seconds"]),
        epochs=int(line["epochs"]),
        accuracy=float(line["accuracy"]),
        size_bytes=int(line["size_bytes"]),
        latency_ms=float(line["latency_ms"]),
    )


def _run_values(trace: Trace) -> _Values:
    return (
        *_key(trace.run),
        round(trace.seconds, 1),
        trace.epochs,
        trace.finished,
        trace.fitting,
        trace.processor,
        f"{trace.limit_ms:g}",
        round(trace.pace_ms, 5),
    )


def _student_values(run: Run, student: Student) -> _Values:
    return (
        *_key(run),
        round(student.seconds, 1),
        student.epochs,
        round(student.accuracy, 5),
        student.size_bytes,
        round(student.latency_ms, 5),
    )


def _key(run: Run) -> _Values:
    return run.arm, run.seed, f"{run.minutes:g}"


def _read(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _write(file: Path, columns: Sequence[str], rows: Iterable[_Values]) -> None:
    temporary = file.with_suffix(".part")
    with temporary.open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    temporary.replace(file)
