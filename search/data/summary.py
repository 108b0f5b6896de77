"""The description of a data set, after every image has been decoded."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from search.config.study import DataSettings
from search.data.dataset import DataInfo, PartSizes
from search.data.prepared import PARTS, UNLABELLED, PartContent
from search.data.scan import Progress, Scan
from search.data.sources.registry import has_mirror_images
from search.data.sources.source import Source


def summarize(
    settings: DataSettings,
    source: Source,
    scans: Mapping[str, Scan],
    contents: Mapping[str, PartContent],
) -> DataInfo:
    """Return the description of a data set from the scans of its parts."""
    training = scans["training"]
    values = len(training.digests) * settings.image_size**2 * 255
    mean = training.sums / values
    deviation = np.sqrt(np.maximum(training.squares / (values * 255) - mean**2, 0))
    learned = [scan for part, scan in scans.items() if part not in ("validation", "test")]
    known = {digest for scan in learned for digest in scan.digests}
    apart = scans["validation"].digests + scans["test"].digests
    return DataInfo(
        source=settings.source,
        classes=source.classes,
        channels=source.training.pictures.channels,
        image_size=settings.image_size,
        mean=tuple(mean.tolist()),
        # A channel that never changes must not be divided by 0.
        std=tuple(np.maximum(deviation, 1 / 255).tolist()),
        shift=settings.shift,
        flip=has_mirror_images(settings) if settings.flip is None else settings.flip,
        digest=_digest(settings, source, scans, contents),
        sizes=PartSizes(**{part: len(scans[part].digests) for part in PARTS}),
        corrupt=tuple(name for found in scans.values() for name in found.damaged),
        repeated=sum(digest in known for digest in apart),
        unlabelled=len(scans[UNLABELLED].digests) if UNLABELLED in scans else 0,
    )


def _digest(
    settings: DataSettings,
    source: Source,
    scans: Mapping[str, Scan],
    contents: Mapping[str, PartContent],
) -> str:
    digest = hashlib.sha256()
    sizes = {part: len(found.digests) for part, found in scans.items()}
    digest.update(json.dumps([source.classes, settings.image_size, sizes]).encode())
    for part, found in scans.items():
        digest.update(b"".join(found.digests))
        digest.update(contents[part].labels.astype("<i8").tobytes())
    return digest.hexdigest()


def report(info: DataInfo, *, keep: bool, progress: Progress) -> None:
    """Report the size of the prepared data, and its problems."""
    if info.corrupt:
        names = ", ".join(repr(name) for name in info.corrupt[:5])
        progress(f"skipped {len(info.corrupt)} damaged images, the first: {names}")
    if info.repeated:
        progress(
            f"{info.repeated} validation and test images are identical to images of training: "
            "the metrics will be too optimistic"
        )
    if info.unlabelled:
        progress(f"{info.unlabelled} images without labels")
    sizes = info.sizes
    progress(
        f"{sizes.training} training, {sizes.validation} validation and {sizes.test} test images "
        f"of {len(info.classes)} classes, " + ("in memory" if keep else "decoded when used")
    )
