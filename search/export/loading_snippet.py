"""The lines that run a student without this project."""

from search.data.dataset import DataInfo
from search.targets.target import Runtime


def snippet(runtime: Runtime, data: DataInfo) -> str | None:
    """Return lines that classify an image with runtime, NumPy and Pillow alone, or None."""
    if runtime.loading_code is None:
        return None
    return runtime.loading_code.format(
        file=runtime.file,
        mode="L" if data.channels == 1 else "RGB",
        size=data.image_size,
        mean=list(data.mean),
        std=list(data.std),
    )
