"""Preparation of a data set from the settings of a study file, with a cache."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from search.config.data_settings import DataSettings
from search.config.resources import decoding_processes, preparing_cores
from search.data import images
from search.data.augmented import augmentation_of
from search.data.cache_key import cache_key
from search.data.class_names import Given, readable_names
from search.data.dataset import Dataset
from search.data.notes import storage_text
from search.data.part_writer import ItemWriter, PartWriter, PixelWriter, ShardedWriter
from search.data.pictures import Pictures
from search.data.placement import placements, shard_side
from search.data.prepared import (
    PARTS,
    UNLABELLED,
    PartContent,
    open_dataset,
    write_description,
)
from search.data.scan import Progress, Reports, Scan, scan
from search.data.sources.folder import unlabelled
from search.data.sources.registry import READERS
from search.data.sources.source import Pool, Source
from search.data.split import SplitOff, limit, split_off
from search.data.stored_part import Placement
from search.data.summary import Findings, summarize
from search.errors import ArtifactError, DataError, DiskError, FolderStoreError
from search.files.filestore import FolderStore
from search.progress import Step, no_step

__all__ = ["open_dataset", "prepare"]

Pools = Mapping[str, Pool]

# Bump it when the reading, the split, the summary or the shards of the same files change.
VERSION = 2


def prepare(
    settings: DataSettings,
    *,
    seed: int,
    cache: FolderStore,
    progress: Progress = lambda _: None,
    step: Step = no_step,
) -> Dataset:
    """Return a data set with its three parts, from the cache or newly prepared.

    The preparation decodes every image once, to find damaged images and the mean of the pixels. It
    stores the pixels if they have at most `settings.in_memory` bytes. Otherwise it stores the
    pixels of validation and test images if these have at most so many bytes. All other images are
    decoded again whenever they are used, from shards or from their own files.

    Args:
        settings: the `data` section of a study file.
        seed: the seed of the split into parts.
        cache: the folder of all prepared data sets.
        progress: called with a line of text about the current step.
        step: called often with the number of images that are prepared.

    Raises:
        DataError: the data are missing, unreadable or unsuitable, or the cache is not a folder.
        DiskError: the cache can't be written.
    """
    try:
        key = prepared_key(settings, seed)
    except OSError as error:
        raise _unreadable(settings, error) from error
    folder_store = cache / "data"
    with folder_store.making(key, progress):
        if found := _prepared(folder_store, key, settings, progress):
            return found
        _prepare(folder_store, key, settings, seed, Reports(progress=progress, step=step))
    return _opened(folder_store.folder / key, settings)


def prepared_key(settings: DataSettings, seed: int) -> str:
    """Return the name of the prepared data set's folder: a hash of all that it depends on.

    Raises:
        OSError: a folder of images can't be listed.
    """
    return cache_key(settings, seed, versions={"prepare": VERSION, "images": images.VERSION})


def _prepare(
    folder_store: FolderStore,
    key: str,
    settings: DataSettings,
    seed: int,
    reports: Reports,
) -> None:
    source = _read(settings, reports.progress)
    try:
        with folder_store.writing(key) as temporary:
            travels = folder_store.is_remote
            _write(temporary, source, settings, seed, reports, travels=travels)
    except DiskError:
        raise
    except OSError as error:
        raise DataError(
            f"the cache must be writable, but {f'{folder_store}/{key}'!r} could not be written "
            f"({error}); make room, or set another folder as run.cache"
        ) from error


def _prepared(
    folder_store: FolderStore, key: str, settings: DataSettings, progress: Progress
) -> Dataset | None:
    """Open the data set that an earlier run prepared; None if it is missing or damaged."""
    try:
        folder = folder_store.fetched(key)
        return _opened(folder, settings) if folder.exists() else None
    except FolderStoreError:
        raise
    except (ArtifactError, DataError) as error:
        progress(f"{error}: preparing it again")
    return None


def _opened(folder: Path, settings: DataSettings) -> Dataset:
    workers = decoding_processes(settings, cores=preparing_cores())
    return open_dataset(folder, augmentation=augmentation_of(settings), workers=workers)


def _read(settings: DataSettings, progress: Progress) -> Source:
    progress(f"reading {settings.source} from {settings.path or settings.name or 'its package'}")
    try:
        source = READERS[settings.source](settings)
    except OSError as error:
        raise _unreadable(settings, error) from error
    return source if settings.class_names is None else _named(source, settings.class_names)


def _named(source: Source, given: Given) -> Source:
    """Return the source with readable names of its classes."""
    found = readable_names(given, source.classes)
    return replace(source, names=found.names, read=(*source.read, found.fact))


def _unreadable(settings: DataSettings, error: OSError) -> DataError:
    return DataError(
        f"data.path must be readable, but {str(settings.path)!r} is not ({error}); "
        "correct the path or its permissions"
    )


def _write(
    folder: Path,
    source: Source,
    settings: DataSettings,
    seed: int,
    reports: Reports,
    *,
    travels: bool,
) -> None:
    pools = dict(_divided(source, settings, seed))
    unused = Counter(source.unused)
    if settings.unlabelled is not None:
        channels = source.training.pictures.channels
        pools[UNLABELLED], others = unlabelled(settings, channels=channels)
        unused.update(others)
    scans: dict[str, Scan] = {}
    contents: dict[str, PartContent] = {}
    for part, placement in placements(pools, settings, travels=travels).items():
        writer = _writer(folder, part, pools[part].pictures, placement, settings)
        scans[part], contents[part] = _scanned(writer, pools[part], settings, reports)
    _check_damage(scans, settings)
    _check_classes_left(contents["training"], source.classes)
    found = Findings.of(pools, unused)
    write_description(folder, summarize(settings, source, scans, contents, found), contents)
    reports.progress(storage_text({part: content.stored for part, content in contents.items()}))


def _divided(source: Source, settings: DataSettings, seed: int) -> Pools:
    """Return the three parts of the data set.

    The parts that the source holds out are used unchanged. If it holds out only one part, this is
    the test part, and the validation part is split off the training part. If it holds out none,
    both are split off.
    """
    training, held_out = source.training, list(source.held_out)
    test = held_out.pop() if held_out else None
    validation = held_out.pop() if held_out else None
    share = settings.validation_share
    if test is None:
        wish = SplitOff(part="test", share=settings.test_share, parts_after=1)
        training, test = _split(training, wish, seed, source.classes)
        share = _share_of_rest(settings)
    if validation is None:
        wish = SplitOff(part="validation", share=share)
        training, validation = _split(training, wish, seed, source.classes)
    if settings.train_images is not None:
        chosen = limit(training.labels, settings.train_images, seed=seed, classes=source.classes)
        training = training.take(chosen)
    return dict(zip(PARTS, (training, validation, test), strict=True))


def _share_of_rest(settings: DataSettings) -> float:
    """Return the validation part's share of the images that remain without the test part."""
    share = settings.validation_share / (1 - settings.test_share)
    if share >= 1:
        raise DataError(
            "the sum of data.validation_share and data.test_share must be below 1, but they are "
            f"{settings.validation_share} and {settings.test_share}; lower them"
        )
    return share


def _split(pool: Pool, wish: SplitOff, seed: int, classes: tuple[str, ...]) -> tuple[Pool, Pool]:
    rest, chosen = split_off(pool.labels, wish, seed=seed, classes=classes, groups=pool.groups)
    return pool.take(rest), pool.take(chosen)


def _writer(
    folder: Path, part: str, pictures: Pictures, placement: Placement, settings: DataSettings
) -> PartWriter:
    if placement is Placement.PIXELS:
        return PixelWriter(folder, part, pictures, size=settings.image_size)
    if placement in (Placement.ARRAY, Placement.ORIGINALS):
        return ItemWriter(folder, part, pictures)
    side = shard_side(settings) if placement is Placement.REDUCED else None
    return ShardedWriter(folder, part, pictures, side=side)


def _scanned(
    writer: PartWriter, pool: Pool, settings: DataSettings, reports: Reports
) -> tuple[Scan, PartContent]:
    threads = decoding_processes(settings, cores=preparing_cores())
    with closing(writer):
        found = scan(writer, settings.image_size, threads=threads, reports=reports)
        sound = pool.take(np.flatnonzero(found.sound))
        pictures = writer.finish(sound.pictures)
    stored = writer.stored(len(sound.labels))
    return found, PartContent(labels=sound.labels, pictures=pictures, stored=stored)


def _check_damage(scans: Mapping[str, Scan], settings: DataSettings) -> None:
    reasons = [reason for found in scans.values() for reason in found.reasons]
    images = sum(len(found.sound) for found in scans.values())
    if len(reasons) > settings.max_corrupt_share * images:
        first = "\n  ".join(reasons[:3])
        raise DataError(
            f"at most a share of {settings.max_corrupt_share} of the images may be damaged "
            f"(data.max_corrupt_share), but {len(reasons)} of {images} are, the first:\n  {first}"
        )


def _check_classes_left(training: PartContent, classes: tuple[str, ...]) -> None:
    counted = np.bincount(training.labels, minlength=len(classes))
    if (empty := np.flatnonzero(counted == 0)).size:
        raise DataError(
            f"every class must have undamaged training images, but {classes[empty[0]]!r} has none; "
            "repair its images, or remove the class"
        )
