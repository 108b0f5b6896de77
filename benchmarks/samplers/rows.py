"""The CSV of the runs, and its tables."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from benchmarks.samplers.runs import GP, MARKS, Result, Setting

ROWS = Path(__file__).with_name("runs.csv")
_VOLUMES, _ACCURACIES = ([f"{what}_{mark}" for mark in MARKS] for what in ("volume", "accuracy"))
_SETTING = [field.name for field in fields(Setting)]
_FURTHER = ["accuracy", "feasible_share", "first_feasible", "proposal_ms", "oracle"]
_COLUMNS = [*_SETTING, *_VOLUMES, *_ACCURACIES, *_FURTHER]

Row = Mapping[str, str]


def read(file: Path) -> list[Row]:
    """Return the rows of the CSV; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def append(file: Path, setting: Setting, result: Result) -> None:
    """Append the row of a run. A new file must be begun when a sampler has changed."""
    is_new = not file.exists()
    with file.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(_row(setting, result))


def _row(setting: Setting, result: Result) -> Row:
    """Return a run as a row: what it did not reach, or what is unknown, is empty."""
    values: dict[str, object] = {**dict.fromkeys(_COLUMNS, ""), **_cells(setting)}
    values |= dict(zip(_VOLUMES, result.volumes, strict=False))
    values |= dict(zip(_ACCURACIES, result.accuracies, strict=False))
    values |= {name: getattr(result, name) for name in _FURTHER}
    return {
        name: f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
        for name, value in values.items()
    }


def missing(settings: Iterable[Setting], rows: Iterable[Row]) -> list[Setting]:
    """Return the settings that the rows lack."""
    known = {tuple(one[name] for name in _SETTING) for one in rows}
    return [setting for setting in settings if tuple(_cells(setting).values()) not in known]


def _cells(setting: Setting) -> dict[str, str]:
    found = {name: getattr(setting, name) for name in _SETTING}
    return {name: "" if value is None else str(value) for name, value in found.items()}


def table(rows: Sequence[Row]) -> list[str]:
    """Return the comparison of one problem's runs in Markdown, a line for each kind of run.

    Cells are the median over the seeds and, in parentheses, the quartiles. The regret is the mean
    distance to the best accuracy within the budget, in points.
    """
    marks = " | ".join(f"{what} {mark}" for what in ("HV", "best") for mark in MARKS)
    lines = [
        f"| sampler | admission | seeds | {marks} | regret | feasible | first | ms |",
        "|---|---|---|" + "---|" * (2 * len(MARKS) + 4),
    ]
    kinds: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for one in rows:
        kinds[tuple(one[name] for name in _SETTING if name != "seed")].append(one)
    for runs in kinds.values():
        cells = [
            _name(runs[0]),
            {"True": "yes", "False": "no"}[runs[0]["admission"]],
            str(len(runs)),
            *(_spread(_values(runs, name), digits=3) for name in _VOLUMES),
            *(_spread(_values(runs, name), digits=4) for name in _ACCURACIES),
            _regret(runs),
            f"{statistics.fmean(_values(runs, 'feasible_share')):.0%}",
            f"{statistics.median(_values(runs, 'first_feasible')):g}",
            f"{statistics.median(_values(runs, 'proposal_ms')):.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _name(one: Row) -> str:
    """Return the sampler, and all in which the run differs from the default settings."""
    words = [one["sampler"]]
    if one["sampler"] == GP:
        words.append(f"weight {float(one['weight']):g}")
    if one["images"]:
        words.append(f"{one['images']} images")
    if one["parallel"] != "1":
        words.append(f"{one['parallel']} at a time")
    if one["trials"] != str(MARKS[-1]):
        words.append(f"to {one['trials']} trials")
    return ", ".join(words)


def _values(runs: Sequence[Row], name: str) -> list[float]:
    return [float(one[name]) for one in runs if one[name]]


def _regret(runs: Sequence[Row]) -> str:
    distances = [
        100 * (float(one["oracle"]) - float(one["accuracy"])) for one in runs if one["oracle"]
    ]
    return f"{statistics.fmean(distances):.2f}" if distances else "–"


def _spread(values: Sequence[float], *, digits: int) -> str:
    """Return the median and the quartiles, such as `.214 (.201–.225)`."""
    if not values:
        return "–"
    texts = [f"{value:.{digits}f}".lstrip("0") for value in np.quantile(values, (0.25, 0.5, 0.75))]
    return texts[1] if len(values) == 1 else f"{texts[1]} ({texts[0]}–{texts[2]})"
