"""Text for measured values with their confidence intervals."""

from search.objectives.metric import DEVIATIONS_95, Metric
from search.records import Measurement, Quality


def measured_text(metric: Metric, quality: Quality) -> str:
    """Return text such as `97.31% ± 0.47%`; a dash if the metric was not measured.

    Args:
        metric: the metric.
        quality: measured values. The text has the half of a 95% interval, if the standard error is
            known.
    """
    found = quality.get(metric.name)
    if found is None:
        return "–"
    reach = f" ± {metric.format(DEVIATIONS_95 * found.error)}" if found.error else ""
    return f"{metric.format(found.value)}{reach}"


def interval_text(metric: Metric, found: Measurement, images: int) -> str:
    """Return text such as `97.31% (96.80% to 97.75%)`; only the value if it has no 95% interval.

    Args:
        metric: the measured metric.
        found: the measured value and its standard error.
        images: the number of images of the measurement.
    """
    interval = metric.confidence(found.value, found.error, images)
    if interval is None:
        return metric.format(found.value)
    low, high = map(metric.format, interval)
    return f"{metric.format(found.value)} ({low} to {high})"
