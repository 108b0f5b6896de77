"""The pictures of a prepared part on disk. Like the processes that decode, it needs no torch.

A part without pixels has the file PART_items.npy, and in info.json the kind and origin of its
pictures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search.data.pictures import ArrayPictures, FilePictures, Pictures
from search.data.shards import ShardPictures, check_shards
from search.data.timm_pictures import TimmPictures
from search.files.arrays import mapped
from search.files.reading import read_json

INFO = "info.json"

KINDS: Mapping[str, type[Pictures]] = {
    "array": ArrayPictures,
    "files": FilePictures,
    "timm": TimmPictures,
    "shards": ShardPictures,
}
"""The kinds of pictures by their names in info.json."""


def write_pictures(folder: Path, part: str, pictures: Pictures) -> Mapping[str, Any]:
    """Write the items of a part's pictures; return what info.json must contain of them."""
    items = np.ascontiguousarray(pictures.items)
    np.save(folder / f"{part}_items.npy", items, allow_pickle=False)
    origin = {key: value for key, value in pictures.origin.items() if key != "folder"}
    (kind,) = (name for name, kind in KINDS.items() if kind is type(pictures))
    return {"kind": kind, "origin": origin, "channels": pictures.channels}


def open_pictures(folder: Path, part: str, written: Mapping[str, Any]) -> Pictures:
    """Open the pictures of a part.

    Args:
        folder: the folder of the prepared data set.
        part: the part's name.
        written: the return value of `write_pictures`.

    Raises:
        DamagedFile, LookupError, TypeError, ValueError: a file or `written` is damaged.
        OSError: a file is missing.
    """
    kind = KINDS[written["kind"]]
    # Shards are in the same folder, which may have been copied to another machine.
    here = {"folder": str(folder)} if kind is ShardPictures else {}
    items = mapped(folder / f"{part}_items.npy")
    found = kind(items=items, channels=written["channels"], origin={**written["origin"], **here})
    if isinstance(found, ShardPictures):
        check_shards(found)
    return found


def pictures_of(folder: Path, part: str) -> Pictures:
    """Open the pictures of a part by what info.json says."""
    return open_pictures(folder, part, read_json(folder / INFO)["pictures"][part])
