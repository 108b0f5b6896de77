"""What bounds others, on costs that were not all counted alike."""

from search.cost_model.bounds import between, counted, extreme, without_file

WHOLE = {"size_bytes": 100, "latency_ms": 1.0, "latency_p95_ms": 2.0, "parameters": 10, "macs": 5}


def test_a_count_is_bounded_by_those_costs_alone_that_have_it() -> None:
    known = [{"size_bytes": 80, "macs": 7}, {"size_bytes": 90, "parameters": 3}]
    assert extreme(known, min) == {"size_bytes": 80, "macs": 7, "parameters": 3}
    assert extreme(known, max) == {"size_bytes": 90, "macs": 7, "parameters": 3}
    assert extreme([], max) == {}


def test_what_the_clock_told_bounds_nothing() -> None:
    assert counted(WHOLE) == {"size_bytes": 100, "parameters": 10, "macs": 5}
    assert extreme([WHOLE], max) == counted(WHOLE)


def test_a_number_format_decides_the_bytes_but_not_the_shapes() -> None:
    assert without_file(counted(WHOLE)) == {"parameters": 10, "macs": 5}


def test_a_cost_is_kept_within_its_bounds_where_it_has_some() -> None:
    floor, ceiling = {"size_bytes": 120}, {"parameters": 8}
    expected = {**WHOLE, "size_bytes": 120, "parameters": 8}
    assert between(WHOLE, floor, ceiling) == expected
    assert between(WHOLE, {}, {}) == WHOLE
