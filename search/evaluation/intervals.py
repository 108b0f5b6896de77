"""How sure a measured value is, in words."""

from search.objectives.metric import Metric
from search.records import Measurement


def interval_text(metric: Metric, found: Measurement, images: int) -> str:
    """Such as `97.31% (96.80% to 97.75%)`; the value alone where nothing tells its 95% interval.

    Args:
        metric: that was measured.
        found: its value.
        images: on so many images.
    """
    interval = metric.confidence(found.value, found.error, images)
    if interval is None:
        return metric.format(found.value)
    low, high = map(metric.format, interval)
    return f"{metric.format(found.value)} ({low} to {high})"
