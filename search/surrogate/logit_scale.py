"""The logit scale of utilities: an equal difference counts more near 0 and 1 than near 0.5."""

import numpy as np
from scipy.special import expit

# Utilities are clipped to this range: beyond it, logits become too large to be useful.
_LEAST, _MOST = 1e-3, 1 - 1e-3


def to_logits(utilities: np.ndarray) -> np.ndarray:
    """Return the log-odds of numbers from 0 to 1, any shape; between -6.9 and 6.9."""
    inside = np.clip(utilities, _LEAST, _MOST)
    logits: np.ndarray = np.log(inside / (1 - inside))
    return logits


def from_logits(logits: np.ndarray) -> np.ndarray:
    """Return the numbers from 0 to 1 that have these log-odds, any shape."""
    utilities: np.ndarray = expit(logits)
    return utilities
