"""Python code that runs a student without retort."""

from search.targets.target import Runtime


def snippet(runtime: Runtime) -> str | None:
    """Return code that classifies an image, or None if the runtime has none.

    The code runs in an exported folder. It needs only the runtime's library, NumPy and Pillow.
    """
    if runtime.loading_code is None:
        return None
    return runtime.loading_code.format(file=runtime.file)
