"""The augmentation of a data set, as its settings state it."""

from search.config.data_settings import DataSettings
from search.data.sources.registry import has_mirror_images
from search.data.views.augmentation import Augmentation


def augmentation_of(settings: DataSettings) -> Augmentation:
    """Return the random changes of the training images."""
    augment = settings.augment
    return Augmentation.of_level(
        augment.level, may_flip=has_mirror_images(settings), knobs=augment.knobs()
    )
