"""Write scikit-learn's digits as images, with a table of their labels: train.csv, names.csv."""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ON_A_SHEET = 30


def main(folder: Path) -> None:
    """Write the images and both tables into `folder`."""
    digits = load_digits()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "digit", "sheet"])
        for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
            image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
            image.save(folder / "images" / f"{number:04}.png")
            table.writerow([f"{number:04}", digit, number // ON_A_SHEET])
    with (folder / "names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("digit", "name"), *enumerate(NAMES)])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
