"""How sure a share is that was counted on some images."""

import math


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95% confidence interval of a share that was observed `count` times.

    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    z = 1.959964
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) * z / (1 + z**2 / count)
    return max(0.0, center - spread), min(1.0, center + spread)


def with_interval(share: float | None, count: int) -> str:
    """Such as `97.31% (96.80% to 97.75%)`."""
    if share is None:
        return "not measured"
    low, high = wilson_interval(share, count)
    return f"{share:.2%} ({low:.2%} to {high:.2%})"
