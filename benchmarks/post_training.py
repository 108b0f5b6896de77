"""What each technique of post-training quantization brings to small trained students.

    python -m benchmarks.post_training DATA NETS --out post_training.csv [--nncf PYTHON]

DATA is the folder of Fashion-MNIST's four files, NETS the folder of the trained students: those of
`benchmarks.small_students`, which trains them if they are missing. Every variant of a number format
is measured on the 10,000 test images, as ONNX Runtime serves it, and compared with the float file
image by image. Rows are appended to the CSV as they arrive; those that it holds are not measured
again. A conversion of NNCF that fails has no row.

`--nncf` also measures NNCF's int8. PYTHON is the interpreter of an environment of its own:

    python -m venv nncf-env && nncf-env/bin/pip install nncf onnx onnxruntime
"""

import argparse
import csv
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.small_students import STUDENTS, exported_student, open_images
from search.data.dataset import Dataset
from search.evaluation.measure import calibration_batches, predictions
from search.records import Scalar
from search.targets.onnx_runtime import Session
from spaces import registry
from spaces.axes.quantization import Quantization

_NNCF = Path(__file__).parent / "nncf_quantize.py"
_COLUMNS = ("student", "format", "variant", "images", "accuracy", "difference", "standard_error",
            "flips", "size_bytes", "seconds")  # fmt: skip
_FULL: Mapping[str, Scalar] = {"rounding": "adaround", "bias_correction": "full"}
_VARIANTS: Mapping[str, Mapping[str, Mapping[str, Scalar]]] = {
    "int8_static": {
        "min_max": {},
        "percentile": {"calibration": "percentile"},
        "mse": {"calibration": "mse"},
        "equalization": {"equalization": True},
        "migration": {"migration": 0.5},
        "fast": {"bias_correction": "fast"},
        "full": {"bias_correction": "full"},
        "adaround": {"rounding": "adaround"},
        "mse, full": {"calibration": "mse", "bias_correction": "full"},
        "adaround, full": _FULL,
        "mse, adaround, full": {"calibration": "mse", **_FULL},
        "equalization, mse, adaround, full": {"calibration": "mse", "equalization": True, **_FULL},
    },
    "int8_mixed": {
        "2 layers": {},
        "4 layers, mse, adaround, full": {"float_layers": 4, "calibration": "mse", **_FULL},
    },
    "int4_weights": {
        "nearest": {},
        "equalization": {"equalization": True},
        "fast": {"bias_correction": "fast"},
        "full": {"bias_correction": "full"},
        "adaround": {"rounding": "adaround"},
        "adaround, full": _FULL,
        "equalization, adaround, full": {"equalization": True, **_FULL},
    },
}
_NNCF_VARIANTS: Mapping[str, Sequence[str]] = {"fast": (), "full": ("--full",)}


@dataclass(frozen=True)
class Measured:
    """A served file on the test images.

    Attributes:
        classes: the predicted class of each image.
        labels: the true class of each image.
        size_bytes: the file's size.
    """

    classes: np.ndarray
    labels: np.ndarray
    size_bytes: int

    @classmethod
    def of(cls, path: Path, dataset: Dataset) -> "Measured":
        """Measure a file."""
        found = predictions(Session(path, threads=1), dataset.test, dataset)
        return cls(found.classes, found.labels, path.stat().st_size)

    @property
    def is_right(self) -> np.ndarray:
        """Whether each image is classified correctly, as 0 or 1."""
        found: np.ndarray = (self.classes == self.labels).astype(float)
        return found

    def row(self, floats: "Measured", seconds: float) -> tuple[object, ...]:
        """Return the columns from `images` on; differences are in points of accuracy."""
        pairs = 100 * (self.is_right - floats.is_right)
        return (
            len(self.labels),
            round(float(self.is_right.mean()), 6),
            round(float(pairs.mean()), 3),
            round(float(pairs.std() / len(pairs) ** 0.5), 3),
            int((self.classes != floats.classes).sum()),
            self.size_bytes,
            round(seconds, 1),
        )


def main() -> None:
    """Measure what the CSV lacks, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("nets", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nncf", type=Path, help="a Python that has NNCF")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.nets.mkdir(parents=True, exist_ok=True)
    dataset = open_images(options.data, options.nets / "cache")
    for name in options.students:
        source = exported_student(STUDENTS[name], dataset, options.nets)
        _measure(name, source, dataset, options)
    print("\n".join(table(_read(options.out))))


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a Markdown table: a variant a line, a student a column."""
    students = list(dict.fromkeys(row["student"] for row in rows))
    variants = dict.fromkeys((row["format"], row["variant"]) for row in rows)
    found = {(row["student"], row["format"], row["variant"]): row for row in rows}
    lines = [f"| format | variant | {' | '.join(students)} |", "|---" * (len(students) + 2) + "|"]
    for form, variant in variants:
        cells = [_cell(found.get((student, form, variant))) for student in students]
        lines.append(f"| {form} | {variant} | {' | '.join(cells)} |")
    return lines


def _cell(row: Mapping[str, str] | None) -> str:
    if row is None:
        return ""
    if row["format"] == "float32":
        return f"{float(row['accuracy']):.2%}"
    return f"{float(row['difference']):+.2f} ({row['flips']})"


def _measure(name: str, source: Path, dataset: Dataset, options: argparse.Namespace) -> None:
    done = {(row["student"], row["format"], row["variant"]) for row in _read(options.out)}
    floats = Measured.of(source, dataset)
    if (name, "float32", "") not in done:
        _append(options.out, (name, "float32", "", *floats.row(floats, 0.0)))
    with tempfile.TemporaryDirectory() as folder:
        for form, variant, command in _conversions(name, options.nncf):
            if (name, form, variant) in done:
                continue
            served = Path(folder) / "served.onnx"
            start = _seconds()
            try:
                _convert(command, source, served, dataset)
            except subprocess.CalledProcessError as error:
                print(f"{name}: {form}, {variant} ended with the exit code {error.returncode}")
                continue
            seconds = _seconds() - start
            row = (name, form, variant, *Measured.of(served, dataset).row(floats, seconds))
            _append(options.out, row)
            print(*row, flush=True)


Conversion = Quantization | Sequence[str]


def _conversions(student: str, nncf: Path | None) -> Iterator[tuple[str, str, Conversion]]:
    """Yield the format, the variant, and a method or NNCF's command for each conversion."""
    for form, variants in _VARIANTS.items():
        for variant, params in variants.items():
            method = registry.method("quantization", form)(**params)
            assert isinstance(method, Quantization)
            yield form, variant, method
    if nncf is not None:
        kind = ["--transformer"] if "vit" in student else []
        for variant, flags in _NNCF_VARIANTS.items():
            yield "nncf", variant, [str(nncf), str(_NNCF), *flags, *kind]


def _convert(how: Conversion, source: Path, served: Path, dataset: Dataset) -> None:
    batches = calibration_batches(dataset, seed=0)
    if isinstance(how, Quantization):
        how.convert(source, served, calibration=batches)
        return
    images = served.with_name("images.npy")
    np.save(images, np.concatenate([*batches]))
    python, script, *flags = how
    command = [python, script, str(source), str(served), str(images), *flags]
    subprocess.run(command, check=True)  # noqa: S603  the interpreter that the user named


def _seconds() -> float:
    """Return the processor time of this process and its children, in seconds."""
    return sum(os.times()[:4])


def _read(file: Path) -> list[dict[str, str]]:
    """Return the CSV's rows; an empty list if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _append(file: Path, row: Sequence[object]) -> None:
    is_new = not file.exists()
    with file.open("a", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if is_new:
            writer.writerow(_COLUMNS)
        writer.writerow(row)


if __name__ == "__main__":
    main()
