"""Random erasing of a rectangle, as in timm. Zhong et al. 2020, arXiv:1708.04896.

Cached logits of a teacher are of the whole image. A teacher whose features are compared receives
the same erased image as the student.
"""

import random

import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor

# Bump it when other rectangles are erased, or are filled with another colour.
VERSION = 1


def erased(images: Tensor, *, probability: float) -> Tensor:
    """Erase a rectangle of 2% to 33% of the area of each image, with this probability.

    Args:
        images: normalised images, [batch, channels, height, width]; they are not modified.
        probability: 0 to 1; at 0 no random number is drawn.

    Returns:
        New images whose erased rectangles are 0, the data's mean colour; at probability 0, `images`
        themselves.
    """
    if not probability:
        return images
    erase = RandomErasing(probability, device=str(images.device))  # type: ignore[no-untyped-call]
    # timm uses Python's generator, but a training seeds and restores only torch's.
    before = random.getstate()
    random.seed(int(torch.randint(2**62, ())))
    try:
        found = images.clone()
        erase(found)
    finally:
        random.setstate(before)
    return found
