"""What a person is told about a prepared data set: its use, and what may be wrong with it."""

from collections.abc import Mapping

from search.data.chirality import chiral_names
from search.data.dataset import DataInfo
from search.data.image_kinds import advice, in_words
from search.data.stored_part import Placement, StoredPart
from search.objectives.units import format_bytes

_MOST_NAMES = 5
_COUNTS = ("reduced", "images")
_PLACES = {
    Placement.PIXELS: "pixels in memory",
    Placement.ARRAY: "resized from an array whenever they are used",
    Placement.ORIGINALS: "decoded from their own files whenever they are used",
    Placement.COPIES: "decoded from shards whenever they are used",
    Placement.REDUCED: "decoded from shards whenever they are used",
}


def notes(info: DataInfo) -> tuple[str, ...]:
    """Return the facts that every run states, and then the warnings."""
    sizes = info.sizes
    facts = [
        *info.read,
        f"{sizes.training} training, {sizes.validation} validation and {sizes.test} test images "
        f"of {len(info.classes)} classes",
        f"augmentation: {info.augmentation} (data.augment)",
        f"not used: {unused_text(info)}",
    ]
    if info.groups:
        facts.append(f"{info.groups} groups of images, each kept together by a split")
    if info.unlabelled:
        facts.append(f"{info.unlabelled} images without labels")
    if info.corrupt:
        names = ", ".join(repr(name) for name in info.corrupt[:_MOST_NAMES])
        facts.append(f"skipped {len(info.corrupt)} damaged images, the first: {names}")
    return (*facts, *(f"warning: {text}" for text in warnings(info)))


def storage_text(stored: Mapping[str, StoredPart]) -> str:
    """Describe where the images of each part are, and their size on disk.

    Args:
        stored: how each part is stored, by its name.
    """
    texts = []
    for placement, text in _PLACES.items():
        own = {part: one for part, one in stored.items() if one.placement is placement}
        if not own:
            continue
        size = sum(one.bytes for one in own.values())
        disk = f" ({format_bytes(size)} of disk)" if size else ""
        reduced, images = (sum(getattr(one, key) for one in own.values()) for key in _COUNTS)
        share = f", {reduced:,} of {images:,} at a reduced size" if reduced else ""
        texts.append(f"{' and '.join(own)}: {text}{share}{disk}")
    return "; ".join(texts)


def unused_text(info: DataInfo) -> str:
    """Return the number of files and folders that are not used, by kind."""
    return in_words(info.unused)


def warnings(info: DataInfo) -> tuple[str, ...]:
    """Return what may make the students, or the figures about them, worse than they seem."""
    found = []
    if advised := advice(kind for kind, _ in info.unused):
        found.append(f"some files are not used, see above: {advised}")
    if info.augmentation.flip and (names := chiral_names(info.classes)):
        shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
        found.append(
            f"images are mirrored, but left and right may matter to {len(names)} of the "
            f"{len(info.classes)} classes ({shown}): set data.augment.flip: false if they do"
        )
    if info.suggested_groups:
        found.append(
            f"file names suggest {info.suggested_groups} groups, such as the frames of one scene. "
            "A random split puts the images of a group into several parts, so the figures may be "
            "too good: set data.groups: prefix"
        )
    if info.suggested_column:
        found.append(
            f"the table's column {info.suggested_column!r} may name groups of images that belong "
            "together. A random split puts the images of a group into several parts, so the "
            f"figures may be too good: set data.columns.group: {info.suggested_column}, or "
            'data.columns.group: "" if it names none'
        )
    if info.shared_groups:
        found.append(
            f"{info.shared_groups} of {info.groups} groups have images in several of the parts "
            "that the data define: the figures will be too good"
        )
    if info.repeated:
        found.append(
            f"{info.repeated} validation and test images are identical to images of training: "
            "the figures will be too good"
        )
    return tuple(found)
