"""Exported students: `load` is what model cards in the world import from here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.export.exporting import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    # It brings torch and ONNX Runtime along, for which most of the package has no use.
    if name in __all__:
        from search.export import exporting

        return getattr(exporting, name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
