"""What the table of post-training quantization shows, from rows worked out by hand."""

import numpy as np

from benchmarks.post_training import Measured, table


def test_a_row_compares_image_by_image() -> None:
    labels = np.array([0, 1, 2, 3])
    floats = Measured(np.array([0, 1, 2, 0]), labels, size_bytes=400)
    served = Measured(np.array([0, 1, 0, 1]), labels, size_bytes=100)
    images, accuracy, difference, error, flips, size, seconds = served.row(floats, 1.25)
    assert (images, accuracy, flips, size, seconds) == (4, 0.5, 2, 100, 1.2)
    assert difference == -25.0
    # The differences are 0, 0, -100 and 0 points: a deviation of 43.3 over the root of 4 images.
    assert error == 21.651


def test_the_table_has_a_line_for_each_variant_and_a_column_for_each_student() -> None:
    row = {"student": "vit", "format": "float32", "variant": "", "accuracy": "0.9", "flips": "0",
           "difference": "0.0"}  # fmt: skip
    rows = [
        row,
        {**row, "format": "int8_static", "variant": "mse", "difference": "-0.12", "flips": "7"},
        {**row, "student": "net", "accuracy": "0.85"},
    ]
    assert table(rows) == [
        "| format | variant | vit | net |",
        "|---|---|---|---|",
        "| float32 |  | 90.00% | 85.00% |",
        "| int8_static | mse | -0.12 (7) |  |",
    ]
