"""A refit: the training of the chosen recipe on training and validation images together.

Its validation images are training images, so nothing that is measured on them is recorded. The
float scores in its training decide only which part of a recovery is kept.
"""

import hashlib
from dataclasses import replace

from search.data.dataset import Dataset
from search.data.joined import JoinedPart
from search.records import Outcome

REFIT_DATA = "+validation"
"""What the keys of stages and logits add to the name of the data."""


def refit_dataset(dataset: Dataset, *, for_cache: bool = False) -> Dataset:
    """Return the data set whose training part includes the validation images.

    The validation images follow the training images, whose indices do not change. The validation
    part remains, but its size in the description is 0.

    Args:
        dataset: the prepared data set, opened.
        for_cache: whether the description gets another digest, for the cache of logits. Otherwise
            the digest is that of the prepared data.
    """
    info, sizes = dataset.info, dataset.info.sizes
    joined = replace(sizes, training=sizes.training + sizes.validation, validation=0)
    digest = info.digest
    if for_cache:
        digest = hashlib.sha256(f"{digest}{REFIT_DATA}".encode()).hexdigest()
    return replace(
        dataset,
        info=replace(info, sizes=joined, digest=digest),
        training=JoinedPart(dataset.training, dataset.validation),
    )


def without_validation(outcome: Outcome) -> Outcome:
    """Return a refit's outcome without everything that was measured on validation images.

    The learning curve is left out, because each of its points has such a score.
    """
    stages = tuple(replace(stage, score=None) for stage in outcome.stages)
    return replace(outcome, quality={}, stages=stages, epochs=())
