"""Exported students: published model cards import `load` from here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.export.exporting import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    # Imported late: it imports torch and ONNX Runtime, which most of the package does not need.
    if name in __all__:
        from search.export import exporting

        return getattr(exporting, name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
