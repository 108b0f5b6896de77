"""Errors that networks raise for images, sizes and cuts that they are not made for."""

UNFIT: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
)
"""Networks raise no errors of their own: they divide by a size of 0, or read a missing item."""
