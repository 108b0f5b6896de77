"""Quantizes an ONNX file with NNCF, in an environment of its own, for `post_training`.

    python benchmarks/nncf_quantize.py SOURCE DESTINATION IMAGES [--full] [--transformer]

IMAGES is a .npy file of calibration images. Without VNNI, int8 products saturate, so weights have
7 bits, as in the files of `int8_static`.
"""

import argparse
from pathlib import Path

import nncf  # type: ignore[import-not-found]
import numpy as np
import onnx


def main() -> None:
    """Write the quantized file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--full", action="store_true", help="sequential bias correction")
    parser.add_argument("--transformer", action="store_true", help="with SmoothQuant")
    options = parser.parse_args()
    images = np.load(options.images)
    model = onnx.load(options.source)
    name = model.graph.input[0].name
    found = nncf.quantize(
        model,
        nncf.Dataset([{name: image[None]} for image in images]),
        subset_size=len(images),
        fast_bias_correction=not options.full,
        model_type=nncf.ModelType.TRANSFORMER if options.transformer else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )
    onnx.save(found, options.destination)


if __name__ == "__main__":
    main()
