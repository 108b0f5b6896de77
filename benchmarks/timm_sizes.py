"""Counter of every timm model's size as timm defines it, for the filters of a study file.

    python -m benchmarks.timm_sizes     (about half an hour; writes spaces/students/timm_sizes.csv)

It counts parameters, and the multiply-accumulates of one image at the model's own input size and
classes, without weights.
"""

import csv
import warnings

import timm

from spaces.students.sizes import SIZES_FILE, count_size


def main() -> None:
    warnings.simplefilter("ignore")
    rows: list[tuple[str, int, int]] = []
    for model in timm.list_models():
        try:
            size = count_size(model)
        except Exception as error:  # noqa: BLE001  whatever it is: the rest is counted
            print(f"left out: {model}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            continue
        rows.append((model, size.parameters, size.macs))
    with SIZES_FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("model", "parameters", "macs"), *rows])


if __name__ == "__main__":
    main()
