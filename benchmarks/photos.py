"""Made-up photos: JPEGs of noise of several scales, which decode as slowly as real photos."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("one", "two")
_MOTIFS = 6
_SCALES = (4, 16, 64, 256)


def write_photos(folder: Path, images: int, shape: tuple[int, int]) -> Path:
    """Write JPEGs of these pixels, of two classes; some have the same content."""
    motifs = [_motif(number, shape) for number in range(_MOTIFS)]
    for number in range(images):
        path = folder / "train" / CLASSES[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(motifs[number % _MOTIFS])
    for name in CLASSES:
        for part in ("val", "test"):
            path = folder / part / name / "0.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(motifs[0])
    return folder


def _motif(seed: int, shape: tuple[int, int]) -> bytes:
    """Return a JPEG of noise of several scales, like the spectrum of a photo."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((shape[1], shape[0], 3))
    for scale in _SCALES:
        coarse = [length * scale // 1024 + 2 for length in (shape[1], shape[0])]
        noise = generator.integers(0, 256, (*coarse, 3), dtype=np.uint8)
        grey = noise.mean(axis=2, keepdims=True) + 0.3 * (noise - noise.mean(axis=2, keepdims=True))
        layer = Image.fromarray(grey.astype(np.uint8)).resize(shape, Image.Resampling.BICUBIC)
        pixels += np.asarray(layer).astype(float) / len(_SCALES)
    pixels = (pixels - pixels.mean()) * 2 + 127 + generator.normal(0, 4, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()
