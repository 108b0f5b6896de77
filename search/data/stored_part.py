"""How a part of a prepared data set is stored."""

from dataclasses import dataclass
from enum import StrEnum


class Placement(StrEnum):
    """Where the images of a part are.

    PIXELS: resized, in a memory map. ARRAY: in an array of their own size, a memory map too.
    ORIGINALS: in the files of the data set. COPIES: in shards, with their own bytes. REDUCED: in
    shards, and large photos at a reduced size.
    """

    PIXELS = "pixels"
    ARRAY = "array"
    ORIGINALS = "originals"
    COPIES = "copies"
    REDUCED = "reduced"


@dataclass(frozen=True, kw_only=True)
class StoredPart:
    """How a part is stored.

    Attributes:
        placement: where its images are.
        bytes: the size of its files in the folder of the prepared data set.
        images: the number of its images.
        reduced: the number of its images that are stored at a reduced size.
    """

    placement: Placement
    bytes: int
    images: int
    reduced: int = 0
