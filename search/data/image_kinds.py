"""The kinds of image files that retort reads, and what a person can do about the other kinds."""

import importlib
from collections.abc import Iterable

_ALWAYS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
_WITH_AVIF = {"AVIF": (".avif",)}

_UNREAD_IMAGES = frozenset(
    (".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".tga", ".psd", ".svg", ".ico")
) | frozenset((".raw", ".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".exr", ".hdr"))
_LONGEST_SUFFIX = 8

LINK_OUT = "links out of the folder"
LINK_UP = "links to a folder that contains them"
BROKEN_LINK = "broken links"
HIDDEN = "hidden"
EMPTY_FOLDER = "empty folders"
NO_SUFFIX = "without a suffix"


def _reads_avif() -> bool:
    """Return whether this Pillow reads AVIF: before 11.3, and in some builds, it does not."""
    try:
        return bool(importlib.import_module("PIL.AvifImagePlugin").SUPPORTED)
    except ImportError:
        return False


_SUFFIXES = _ALWAYS | (_WITH_AVIF if _reads_avif() else {})

# No other formats: for an EPS file, for example, Pillow would run Ghostscript.
FORMATS: tuple[str, ...] = tuple(_SUFFIXES)
"""Pillow's names of the formats that retort reads."""

SUFFIXES: frozenset[str] = frozenset(suffix for own in _SUFFIXES.values() for suffix in own)
"""The suffixes of the files that retort takes for images, in lower case."""


def suffix_of(name: str) -> str:
    """Return a file's suffix in lower case, for reports; `NO_SUFFIX` if it has none."""
    stem, dot, suffix = name.rpartition(".")
    is_suffix = bool(stem and dot) and suffix.isalnum() and len(suffix) <= _LONGEST_SUFFIX
    return f".{suffix.lower()}" if is_suffix else NO_SUFFIX


def in_words(counts: Iterable[tuple[str, int]]) -> str:
    """Return the number of files and folders of each kind, such as `3 .txt, 1 broken links`."""
    return ", ".join(f"{number} {kind}" for kind, number in counts) or "nothing"


def advice(kinds: Iterable[str]) -> str:
    """Return what a person can do to use files of these kinds; empty if nothing is known."""
    found = list(kinds)
    images = sorted(_UNREAD_IMAGES.intersection(found))
    steps = []
    if images:
        steps.append(
            f"convert {' and '.join(images)} files to JPEG or PNG, since retort can't read them"
        )
    if LINK_OUT in found:
        steps.append("set data.follow_links: true to use files outside of the data's folder")
    if BROKEN_LINK in found:
        steps.append("restore the files that the broken links name")
    return "; ".join(steps)
