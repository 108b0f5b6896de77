"""Counts every timm model as timm defines it, for the filters of a study file.

    python -m benchmarks.timm_sizes     (about ten minutes; writes spaces/students/timm_sizes.csv)

Parameters, and for models of up to 30 million of them the multiply-accumulates of one image at the
model's own input size and classes, counted without weights. What is left out here is counted when
a study's filter asks for it.
"""

import csv
import warnings

import timm

from spaces.students.sizes import SIZES_FILE, count_size

_MOST_COUNTED = 30_000_000


def main() -> None:
    warnings.simplefilter("ignore")
    rows: list[tuple[str, int, int | None]] = []
    for model in timm.list_models():
        try:
            size = count_size(model, most_counted=_MOST_COUNTED)
        except Exception as error:  # noqa: BLE001  whatever it is: the rest is counted
            print(f"left out: {model}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            continue
        rows.append((model, size.parameters, size.macs))
    with SIZES_FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("model", "parameters", "macs"), *rows])


if __name__ == "__main__":
    main()
