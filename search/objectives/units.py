"""Parses and formats quantities for people: bytes, durations and counts."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from spaces.quantity import parse_quantity, parse_whole

_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(text: object) -> int:
    """Return the bytes of text such as `2MB` (decimal) or `2MiB` (binary), or of a number.

    Raises:
        ValueError: the text is not a quantity of bytes above 0.
    """
    return parse_whole(text, _BYTES, bare="b", example="2MB, 300KB or 1.5MiB")


def parse_room(text: object) -> int:
    """Return bytes as `parse_bytes` does, and also accept 0.

    Raises:
        ValueError: the text is not a quantity of bytes from 0.
    """
    return 0 if text == 0 and not isinstance(text, bool) else parse_bytes(text)


def parse_milliseconds(text: object) -> float:
    """Return the milliseconds of text with a unit, such as `5ms`, `2s`, `30m` or `2h`.

    Raises:
        ValueError: the text is not a duration above 0, or has no unit.
    """
    return parse_quantity(text, _MILLISECONDS, bare=None, example="5ms, 2s, 30m or 2h")


def parse_seconds(text: object) -> float:
    """Return the seconds of the same text as for `parse_milliseconds`."""
    return parse_quantity(text, _SECONDS, bare=None, example="5ms, 2s, 30m or 2h")


def format_bytes(size: float) -> str:
    """Return bytes as text with three significant digits and a decimal unit: `1.23 MB`."""
    return _scaled(size, (("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1.0)))


def format_milliseconds(duration: float) -> str:
    """Return milliseconds as text with three significant digits: `420 µs`, `5.20 ms`, `1.30 s`."""
    return _scaled(duration, (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)))


def format_count(count: float) -> str:
    """Return a count as text with three significant digits: `1.25 M`."""
    return _scaled(count, (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)))


def format_duration(seconds: float) -> str:
    """Return seconds as text in hours, minutes and seconds: `1h 02m`, `3m 05s`, `4.2s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def _scaled(value: float, units: tuple[tuple[str, float], ...]) -> str:
    unit, scale = next(((u, s) for u, s in units if abs(value) >= s * 0.9995), units[-1])
    scaled = value / scale
    digits = (
        0
        if scaled >= 99.95 or (scale == 1.0 and unit in ("", "B"))
        else (1 if scaled >= 9.995 else 2)
    )
    return f"{scaled:.{digits}f} {unit}".rstrip()


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Room = Annotated[int, BeforeValidator(parse_room)]
Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    Field(gt=0),
    PlainSerializer(lambda value: f"{value!r}s", return_type=str, when_used="json"),
]
