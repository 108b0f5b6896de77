"""scikit-learn's digits: 1,797 grey images of 8×8 pixels, which come with the library."""

import numpy as np

from search.config.data_settings import DataSettings
from search.data.pictures import ArrayPictures
from search.data.sources.source import Pool, Source, numbered_classes


def read(settings: DataSettings) -> Source:
    """Read all digits as training images; their values 0..16 are scaled to 0..255."""
    del settings  # no setting applies to digits
    from sklearn.datasets import load_digits  # slow to import

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    pool = Pool(pictures=ArrayPictures.of(images, "digits"), labels=labels)
    return Source(classes=numbered_classes(labels), training=pool)
