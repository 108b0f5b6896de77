"""Images with an erased rectangle, as in timm. Zhong et al. 2020, arXiv:1708.04896.

A teacher whose predictions were computed before has seen the whole image; a teacher that is
compared by its features sees what the student sees.
"""

import random

import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor

# Bump it when other rectangles are erased, or with another colour.
VERSION = 1


def erased(images: Tensor, *, probability: float) -> Tensor:
    """Return each image, with that probability, without a rectangle of 2% to 33% of its area.

    Args:
        images: normalised, [batch, channels, height, width]; not changed. The erased part
            becomes 0, the data's mean colour.
        probability: 0 to 1; at 0 nothing is drawn, and the images themselves are returned.
    """
    if not probability:
        return images
    erase = RandomErasing(probability, device=str(images.device))  # type: ignore[no-untyped-call]
    # timm draws from Python's generator; a training's seed and checkpoint restore torch's.
    before = random.getstate()
    random.seed(int(torch.randint(2**62, ())))
    try:
        found = images.clone()
        erase(found)
    finally:
        random.setstate(before)
    return found
