"""The description of a data set, after every image has been decoded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from search.config.data_settings import DataSettings
from search.data.augmented import augmentation_of
from search.data.dataset import DataInfo, PartSizes
from search.data.prepared import PARTS, UNLABELLED, PartContent
from search.data.scan import Scan
from search.data.sources.source import Pool, Source


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about files and groups before any image was decoded.

    Attributes:
        unused: the number of files and folders that are not used, by kind.
        groups: the number of groups; 0 if no groups are set.
        shared_groups: the number of groups with images in several parts.
    """

    unused: Mapping[str, int]
    groups: int
    shared_groups: int

    @classmethod
    def of(cls, pools: Mapping[str, Pool], unused: Mapping[str, int]) -> Self:
        """Count the groups of these parts."""
        own = [np.unique(pool.groups) for pool in pools.values() if pool.groups is not None]
        parts = np.unique(np.concatenate(own), return_counts=True)[1] if own else np.zeros(0)
        return cls(
            unused=unused,
            groups=len(parts),
            shared_groups=int((parts > 1).sum()),
        )


def summarize(
    settings: DataSettings,
    source: Source,
    scans: Mapping[str, Scan],
    contents: Mapping[str, PartContent],
    found: Findings,
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
        classes=source.names or source.classes,
        channels=source.training.pictures.channels,
        image_size=settings.image_size,
        mean=tuple(mean.tolist()),
        # A channel that never changes must not be divided by 0.
        std=tuple(np.maximum(deviation, 1 / 255).tolist()),
        augmentation=augmentation_of(settings),
        digest=_digest(settings, source, scans, contents),
        sizes=PartSizes(**{part: len(scans[part].digests) for part in PARTS}),
        corrupt=tuple(name for found in scans.values() for name in found.damaged),
        repeated=sum(digest in known for digest in apart),
        unlabelled=len(scans[UNLABELLED].digests) if UNLABELLED in scans else 0,
        unused=tuple(sorted(found.unused.items(), key=lambda kind: (-kind[1], kind[0]))),
        groups=found.groups,
        shared_groups=found.shared_groups,
        suggested_groups=source.suggested_groups,
        suggested_column=source.suggested_column,
        read=source.read,
        original_classes=source.classes if source.names else (),
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
