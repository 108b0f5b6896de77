"""The logit scale, on which utilities are learned: a point near 1 weighs more than near a half."""

import numpy as np

# Utilities beyond these have no useful logit.
_LEAST, _MOST = 1e-3, 1 - 1e-3


def to_logits(utilities: np.ndarray) -> np.ndarray:
    """Return log-odds of numbers from 0 to 1, any shape; at most 6.9 from 0."""
    inside = np.clip(utilities, _LEAST, _MOST)
    logits: np.ndarray = np.log(inside / (1 - inside))
    return logits


def from_logits(logits: np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1, any shape."""
    utilities: np.ndarray = 1 / (1 + np.exp(-logits))
    return utilities
