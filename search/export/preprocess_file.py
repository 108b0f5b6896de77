"""preprocess.py of an exported folder: a copy of the file by which retort itself reads images."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from search.data import preprocess
from search.data.dataset import DataInfo
from search.errors import shortened
from search.export.checks import Check
from search.files.disk import scratch
from search.files.reading import DamagedFile, read_limited

PREPROCESS = "preprocess.py"
_MOST_BYTES = 2**20
_SECONDS = 120
_COMPILED = "__pycache__"

# `runpy` reads only the file itself, never what Python has compiled beside it.
_RUN = """\
import runpy, sys, numpy
read = runpy.run_path(sys.argv[1])["preprocess"]
for path in sys.argv[2:]:
    numpy.save(path + ".npy", read(path))
"""


def write_preprocess(folder: Path) -> None:
    """Write preprocess.py into an exported folder."""
    (folder / PREPROCESS).write_bytes(_own())


def preprocess_check(folder: Path, info: DataInfo, *, trust: bool) -> Check:
    """Check that the folder's preprocess.py reads each kind of image file as retort does.

    Args:
        folder: the export.
        info: the student's data.
        trust: run the file even if it is not retort's own.
    """
    path = folder / PREPROCESS
    if not path.exists():
        return _check(None, "there is none, since an earlier retort wrote the folder")
    try:
        is_own = read_limited(path, _MOST_BYTES) == _own()
    except DamagedFile as error:
        return _check(False, f"not run: {error}")
    if not (is_own or trust):
        return _check(None, "not run, since it is not this retort's own file: pass --trust")
    with scratch() as workspace:
        images = list(_written(workspace))
        try:
            _run(path, images)
            found = [np.load(f"{image}.npy", allow_pickle=False) for image in images]
        except subprocess.CalledProcessError as error:
            *_, reason = ["no reason given", *str(error.stderr).strip().splitlines()]
            return _check(False, f"can't be run: {reason}")
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return _check(False, f"can't be run: {shortened(error)}")
        expected = [_expected(image, info) for image in images]
    same = [np.array_equal(one, other) for one, other in zip(found, expected, strict=True)]
    text = f"reads {sum(same)} of {len(same)} kinds of image files as retort does"
    if all(same) and (folder / _COMPILED).exists():
        return _check(None, f"{text}, but Python may run what is in {_COMPILED} instead: remove it")
    return _check(all(same), text)


def _check(holds: bool | None, found: str) -> Check:  # noqa: FBT001  the field of a check
    return Check(name=PREPROCESS, holds=holds, found=found)


def _own() -> bytes:
    return (resources.files("search.data") / PREPROCESS).read_bytes()


def _run(path: Path, images: list[Path]) -> None:
    command = [sys.executable, "-P", "-B", "-W", "ignore", "-c", _RUN, str(path.absolute())]
    subprocess.run(  # noqa: S603
        [*command, *map(str, images)],
        cwd=images[0].parent,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )


def _expected(image: Path, info: DataInfo) -> np.ndarray:
    pixels = preprocess.square(preprocess.read(image, info.channels), info.image_size)
    return preprocess.normalized(pixels, info.mean, info.std)[None]


def _written(folder: Path) -> Iterator[Path]:
    """Write an image of noise as each kind of file, and yield the files."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    deep = noise[:, :, 0].astype(np.uint16) * 257
    colours, turned = Image.fromarray(noise[:, :, :3]), Image.Exif()
    turned[preprocess.ORIENTATION] = 6
    palette = colours.quantize(8)
    files: tuple[tuple[str, Image.Image, dict[str, Any]], ...] = (
        ("deep.png", Image.fromarray(deep), {}),
        ("deep.tif", Image.fromarray(deep.astype(">u2")), {}),
        ("cmyk.jpg", colours.convert("CMYK"), {}),
        ("palette.png", palette, {"transparency": b"\x00\x80"}),
        ("rgba.png", Image.fromarray(noise), {}),
        ("la.png", Image.fromarray(noise[:, :, 2:]), {}),
        ("turned.jpg", colours, {"exif": turned}),
    )
    for name, image, options in files:
        image.save(folder / name, **options)
        yield folder / name
