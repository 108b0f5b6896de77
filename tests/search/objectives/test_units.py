"""Quantities as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.objectives.units import (
    format_bytes,
    format_count,
    format_duration,
    format_milliseconds,
    parse_bytes,
    parse_milliseconds,
    parse_room,
    parse_seconds,
)
from spaces.quantity import parse_count
from tests.messages import naming


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2MB", 2_000_000),
        ("2 MB", 2_000_000),
        ("2mb", 2_000_000),
        ("1.5MiB", 1_572_864),
        ("300KB", 300_000),
        ("1KiB", 1024),
        ("1GB", 10**9),
        ("1GiB", 2**30),
        ("7B", 7),
        ("12", 12),
        (12, 12),
        ("1e3 kb", 1_000_000),
    ],
)
def test_bytes_are_parsed(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("5ms", 5.0),
        ("0.5 ms", 0.5),
        ("250us", 0.25),
        ("250µs", 0.25),
        ("2s", 2000.0),
        ("30m", 1_800_000.0),
        ("2h", 7_200_000.0),
        ("1d", 86_400_000.0),
    ],
)
def test_milliseconds_are_parsed(text: str, duration_ms: float) -> None:
    assert parse_milliseconds(text) == pytest.approx(duration_ms)


def test_seconds_are_parsed() -> None:
    assert parse_seconds("30m") == 1800


@pytest.mark.parametrize(
    ("text", "count"), [("500k", 500_000), ("2M", 2_000_000), ("1.5G", 1.5e9), ("7", 7), (7, 7)]
)
def test_counts_are_parsed(text: object, count: float) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["", "MB", "2 elephants", "two MB", "-2MB", "2MB 3", "1_000", "0x10", "nan", "inf"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=naming(repr(text), "300KB")):
        parse_bytes(text)


@pytest.mark.parametrize("value", [None, True, False, [2], {"size": 2}, float("nan"), -1])
def test_a_value_of_another_kind_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=naming(repr(value), "300KB")):
        parse_bytes(value)


@pytest.mark.parametrize("text", ["0", "0MB", "0.0GB", "1e999", 0])
def test_a_quantity_is_above_zero_and_finite(text: object) -> None:
    with pytest.raises(ValueError, match=naming(repr(text))):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "room"), [(0, 0), ("2kB", 2000), (5, 5)])
def test_room_may_be_none_at_all(text: object, room: int) -> None:
    assert parse_room(text) == room


@pytest.mark.parametrize("text", [False, "0", -1])
def test_room_is_a_number_of_bytes_or_the_number_zero(text: object) -> None:
    with pytest.raises(ValueError, match=naming(repr(text))):
        parse_room(text)


@pytest.mark.parametrize("text", ["0.4", "0.4B", 0.4])
def test_a_size_that_rounds_to_nothing_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=naming(repr(text))):
        parse_bytes(text)


@pytest.mark.parametrize("value", [5, 5.0, "5"])
def test_a_duration_without_a_unit_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=naming(repr(value), "5ms")):
        parse_milliseconds(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (7, "7 B"),
        (999, "999 B"),
        (1000, "1.00 KB"),
        (12_345, "12.3 KB"),
        (1_234_567, "1.23 MB"),
        (999_600, "1.00 MB"),
        (123_400_000, "123 MB"),
        (5e9, "5.00 GB"),
    ],
)
def test_bytes_are_written_with_three_digits(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0.42, "420 µs"), (5.2, "5.20 ms"), (52.0, "52.0 ms"), (520.0, "520 ms"), (1300, "1.30 s")],
)
def test_milliseconds_are_written_in_the_unit_that_suits(duration_ms: float, text: str) -> None:
    assert format_milliseconds(duration_ms) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (12, "12"), (1250, "1.25 k"), (1_250_000, "1.25 M")]
)
def test_counts_are_written_with_three_digits(count: float, text: str) -> None:
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (4.2, "4.2s"),
        (60, "1m 00s"),
        (185, "3m 05s"),
        (3720, "1h 02m"),
    ],
)
def test_durations_are_written_in_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10**12))
def test_written_bytes_are_parsed_to_within_half_a_percent(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.005)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_refused_as_a_value_error(text: str) -> None:
    try:
        assert parse_bytes(text) > 0
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - most texts are refused, some are not
