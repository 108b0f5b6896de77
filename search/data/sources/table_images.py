"""The image files that the rows of a table name: where they are, and advice if they are missing."""

import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from search.config.data_settings import DataSettings
from search.data.image_kinds import SUFFIXES
from search.data.images import printable
from search.data.sources.table_file import TableFile
from search.errors import DataError

_COMMON = ("", ".jpg", ".jpeg", ".png")
_MOST_FOLDERS = 100
_MOST_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LocatedImages:
    """The files of a table's rows.

    Attributes:
        names: by the index of the row, the file's path below the folder of the images.
        missing: the indices of the rows without a file.
    """

    names: dict[int, str]
    missing: list[int]


def images_folder(settings: DataSettings) -> Path:
    """Return the real path of the folder below which a table names its images.

    Raises:
        DataError: it is no folder.
    """
    assert settings.path is not None
    folder = settings.images or settings.path.parent
    if not folder.expanduser().is_dir():
        raise DataError(
            f"data.images must be the folder of the table's images, but {str(folder)!r} is no "
            "folder; correct the path"
        )
    return folder.expanduser().resolve()


def locate(
    table: TableFile, values: Mapping[int, str], pattern: str, settings: DataSettings
) -> LocatedImages:
    """Find the image files of rows.

    Args:
        table: the table.
        values: by the index of the row, the path of its image, as the table names it.
        pattern: the pattern of these paths.
        settings: the `data` section of a study file.

    Raises:
        DataError: an image is outside of the folder although links may not be followed, or more
            images are missing than may be damaged.
    """
    root = images_folder(settings)
    located, outside = _found(values, str(root), follow=settings.follow_links)
    if outside:
        raise DataError(
            f"a table must name images inside its folder, {str(root)!r}, but {len(outside)} of "
            f"{len(values)} are outside of it:\n  {_rows(table, values, outside)}\nset data.images "
            "to the folder that has them all, or data.follow_links: true if you trust the table"
        )
    missing = located.missing
    if len(missing) > settings.max_corrupt_share * len(values):
        raise DataError(
            f"a table must name files that exist below {str(root)!r}, but {len(missing)} of "
            f"{len(values)} do not:\n  {_rows(table, values, missing)}\n"
            f"{_advice(root, values[missing[0]], pattern)}"
        )
    return located


def _found(
    values: Mapping[int, str], root: str, *, follow: bool
) -> tuple[LocatedImages, list[int]]:
    """Find each file; also return the indices of those outside that may not be followed."""
    names: dict[int, str] = {}
    missing: list[int] = []
    outside: list[int] = []
    real_folder: Callable[[str], str] = cache(os.path.realpath)  # many images share a folder
    inside = f"{root}{os.sep}".replace(os.sep * 2, os.sep)
    for index, value in values.items():
        path = _real_file(joined(root, value), real_folder)
        if path is None:
            missing.append(index)
        elif follow or path.real.startswith(inside):
            names[index] = path.named(root, inside)
        else:
            outside.append(index)
    return LocatedImages(names=names, missing=missing), outside


@dataclass(frozen=True, slots=True)
class _File:
    """A file: its path with a real folder, and its own real path if it is a link."""

    path: str
    real: str

    def named(self, root: str, inside: str) -> str:
        """Return the path below the folder `root`, or from it if it is elsewhere."""
        if self.path.startswith(inside):
            return self.path[len(inside) :]
        return os.path.relpath(self.path, root)


def joined(folder: str, value: str) -> str:
    """Return the path that a table names, below the folder of its images, without `.` and `..`."""
    return posixpath.normpath(posixpath.join(folder, value.replace("\\", "/")))


def _real_file(path: str, real_folder: Callable[[str], str]) -> _File | None:
    folder, _, name = path.rpartition("/")
    try:
        path = f"{real_folder(folder or '/').rstrip('/')}/{name}"
        mode = os.lstat(path).st_mode
        real = path
        if stat.S_ISLNK(mode):
            real = os.path.realpath(path)
            mode = Path(real).stat().st_mode
    except (OSError, ValueError):  # no such file, or no path at all
        return None
    return _File(path, real) if stat.S_ISREG(mode) else None


def _rows(table: TableFile, values: Mapping[int, str], indices: Sequence[int]) -> str:
    shown = [f"{table.place(index)}: {printable(values[index])!r}" for index in indices]
    more = len(shown) - _MOST_SHOWN
    return "\n  ".join(shown[:_MOST_SHOWN]) + (f"\n  and {more} more" if more > 0 else "")


def _advice(root: Path, value: str, pattern: str) -> str:
    """Return the setting that finds the image of a missing row, if there is one that is simple."""
    for before, after in _places(root):
        if _is_file(Path(joined(str(root / before), f"{value}{after}"))):
            folder = f"{before}/" if before else ""
            return f'set data.columns.image: "{folder}{pattern}{after}", which is found'
    suffix = "" if Path(value).suffix.lower() in SUFFIXES else ".jpg"
    return (
        "set data.images to the folder of the images, or data.columns.image to a pattern such as "
        f'"images/{pattern}{suffix}"; or remove the rows'
    )


def _places(root: Path) -> Iterator[tuple[str, str]]:
    """Yield folders and suffixes that a table may have left out."""
    suffixes = (*_COMMON, *sorted(SUFFIXES - set(_COMMON)))
    folders = [entry.name for entry in sorted(root.iterdir()) if entry.is_dir()][:_MOST_FOLDERS]
    for folder in ("", *folders):
        for suffix in suffixes:
            yield folder, suffix


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
