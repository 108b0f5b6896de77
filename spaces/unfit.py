"""Errors that networks raise for unsupported images, sizes or pruned shapes."""

UNFIT: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
)
"""Networks have no error class for this: they divide by a size of 0, or read a missing item."""
