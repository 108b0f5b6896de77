"""What networks raise of images, sizes and cuts that they are not made for."""

UNFIT: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
)
"""Their code has no errors of its own: it divides by a size of 0, or reads what is not there."""
