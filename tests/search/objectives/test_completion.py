"""A known cost keeps the values of one measurement together."""

from search.objectives.budget import cost_texts, doubt_text
from search.objectives.completion import completed
from search.objectives.limits import LATENCY

KNOWN = {"size_bytes": 10, "latency_ms": 1.0, "latency_p95_ms": 2.0}
QUIET = {"latency_ms": 3.0, "latency_p95_ms": 4.0, "latency_scatter_ms": 0.1,
         "latency_disturbed_share": 0.0}  # fmt: skip
DISTURBED = {**QUIET, "latency_ms": 9.0, "latency_disturbed_share": 0.5}


def test_values_of_two_measurements_are_not_mixed() -> None:
    assert completed(KNOWN, {**QUIET, "macs": 5}) == {**KNOWN, "macs": 5}
    assert completed({"size_bytes": 10}, {"size_bytes": 11, **QUIET}) == {"size_bytes": 10, **QUIET}


def test_fault_43_a_doubtful_latency_gives_way_to_one_that_is_not() -> None:
    assert completed(DISTURBED, QUIET) == QUIET
    assert completed(QUIET, DISTURBED) == QUIET
    assert completed(DISTURBED, {**DISTURBED, "latency_ms": 8.0}) == DISTURBED


def test_fault_43_a_doubtful_latency_is_marked_and_explained() -> None:
    assert cost_texts(DISTURBED)["latency"] == LATENCY.format(9.0) + " ?"
    assert cost_texts(QUIET)["latency"] == LATENCY.format(3.0)
    assert str(doubt_text(QUIET, DISTURBED)).startswith("?")
    assert doubt_text(QUIET, KNOWN, None) is None
