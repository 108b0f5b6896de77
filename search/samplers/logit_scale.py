"""The scale on which accuracies are learned: a point near 1 weighs more than one near a half."""

import numpy as np

# Accuracies beyond these have no logit of use.
_LEAST, _MOST = 1e-3, 1 - 1e-3


def to_logits(accuracies: np.ndarray) -> np.ndarray:
    """Log-odds of shares from 0 to 1, any shape; at most 6.9 from 0."""
    inside = np.clip(accuracies, _LEAST, _MOST)
    logits: np.ndarray = np.log(inside / (1 - inside))
    return logits


def to_accuracies(logits: np.ndarray) -> np.ndarray:
    """Shares from 0 to 1, any shape."""
    accuracies: np.ndarray = 1 / (1 + np.exp(-logits))
    return accuracies
