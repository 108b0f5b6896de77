"""The learning curves of the finalists: curves.csv, and a picture of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.yardsticks.rows import Row, append_new, read, student_text
from search.config.study import Study
from search.records import TrialKind
from search.storage.storage import Store

CURVES = Path(__file__).with_name("curves.csv")
COLUMNS = ("data", "student", "seed", "stage", "epoch", "loss", "validation_accuracy")


def curves_of(data: str, study: Study, store: Store) -> Iterator[Row]:
    """Yield a row for each epoch of each finalist.

    Args:
        data: the yardstick's name.
        study: the study.
        store: the store with its results.
    """
    space = study.search_space()
    for trial in store.trials(study.study, whole=True):
        if trial.kind is TrialKind.FINAL and trial.parent is None and trial.outcome:
            for point in trial.outcome.epochs:
                values = (
                    data, student_text(trial, space), trial.seed, point.stage, point.epoch + 1,
                    f"{point.loss:.4f}", f"{point.score:.4f}",
                )  # fmt: skip
                yield dict(zip(COLUMNS, map(str, values), strict=True))


def append_curves(file: Path, rows: Iterator[Row]) -> int:
    """Append the rows that the CSV lacks; return their number."""
    return append_new(file, rows, columns=COLUMNS, identity=COLUMNS[:5])


def draw(file: Path, data: str, picture: Path) -> None:
    """Draw the validation accuracy of each finalist over its epochs, recovery included."""
    by_student: dict[str, list[float]] = defaultdict(list)
    for row in read(file):
        if row["data"] == data:
            name = f"{row['student']}, seed {row['seed']}"
            by_student[name].append(float(row["validation_accuracy"]))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, accuracies in by_student.items():
        axes.plot(range(1, len(accuracies) + 1), accuracies, label=name)
    axes.set_xlabel("epoch, those after pruning included")
    axes.set_ylabel("accuracy on validation images")
    axes.set_ylim(bottom=_lower_end([*by_student.values()]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower left", fontsize=8, frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def _lower_end(curves: Sequence[Sequence[float]]) -> float:
    """Return a lower end that leaves out the first epochs, which would flatten the rest."""
    return min(curve[len(curve) // 4] for curve in curves) - 0.02
