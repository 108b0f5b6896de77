"""Python code that runs a student without retort."""

from search.data.dataset import DataInfo
from search.targets.target import Runtime


def snippet(runtime: Runtime, data: DataInfo) -> str | None:
    """Return code that classifies an image, or None if the runtime has none.

    The code needs only the runtime's library, NumPy and Pillow.
    """
    if runtime.loading_code is None:
        return None
    return runtime.loading_code.format(
        file=runtime.file,
        mode="L" if data.channels == 1 else "RGB",
        size=data.image_size,
        mean=list(data.mean),
        std=list(data.std),
    )
