"""Distributions of a parameter: a range of numbers, a list of values, or any name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from spaces.names import suggestion

Scalar: TypeAlias = bool | int | float | str


class Suggester(Protocol):
    """The part of an Optuna trial that a distribution needs."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def _is_number(value: object) -> bool:
    # math.isfinite fails for integers that are too large for a float.
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class FloatRange:
    """Finite floats from `low` to `high`, both included; if `log`, on a log scale.

    `word` is a word that a parameter may have in place of a number, such as `auto`. It is never
    suggested: a study's range holds numbers alone.
    """

    low: float
    high: float
    log: bool = False
    word: str | None = None

    def __post_init__(self) -> None:
        _check_bounds(self)

    def contains(self, value: object) -> bool:
        if isinstance(value, str):
            return value == self.word
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def edges(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)

    def count(self) -> float:
        """Return the number of values: 1 if `low` equals `high`, otherwise infinity."""
        return 1 if self.low == self.high else math.inf

    def at(self, share: float) -> Scalar:
        """Return the value at the relative position `share`, 0 for `low` to 1 for `high`."""
        return _between(self, share)

    def suggest(self, trial: Suggester, name: str) -> Scalar:
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        numbers = f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")
        return f"{numbers}, or {self.word}" if self.word else numbers


@dataclass(frozen=True)
class IntRange:
    """Integers from `low` to `high`, both included; if `log`, on a log scale."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    def contains(self, value: object) -> bool:
        return _is_integer(value) and self.low <= value <= self.high  # type: ignore[operator]

    def edges(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)

    def count(self) -> float:
        return self.high - self.low + 1

    def at(self, share: float) -> Scalar:
        """Return the integer nearest to the relative position `share`, 0 to 1."""
        return round(_between(self, share))

    def suggest(self, trial: Suggester, name: str) -> Scalar:
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class OneOf:
    """One of the listed values."""

    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("options must hold at least one value, but got none")
        if len(set(self.options)) != len(self.options):
            raise ValueError(f"options must differ from one another, but got {list(self.options)}")

    def contains(self, value: object) -> bool:
        # `1 == True` holds in Python, so this also compares the types.
        return any(value == option and type(value) is type(option) for option in self.options)

    def edges(self) -> tuple[Scalar, ...]:
        return self.options

    def count(self) -> float:
        return len(self.options)

    def at(self, share: float) -> Scalar:
        """Return the option at the relative position `share`, 0 for the first to 1 for the last."""
        return self.options[min(int(share * len(self.options)), len(self.options) - 1)]

    def suggest(self, trial: Suggester, name: str) -> Scalar:
        value: Scalar = trial.suggest_categorical(name, self.options)
        return value

    def __str__(self) -> str:
        names = ", ".join(str(option) for option in self.options)
        return names if len(self.options) == 1 else f"one of {names}"


@dataclass(frozen=True)
class AnyName:
    """Any non-empty text, such as the name of a timm model; a study must list the values."""

    kind: str

    def contains(self, value: object) -> bool:
        return isinstance(value, str) and bool(value)

    def edges(self) -> tuple[Scalar, ...]:
        return ()

    def count(self) -> float:
        return math.inf

    def at(self, share: float) -> Scalar:
        raise ValueError(
            f"{self} must come from a list, but position {share} was requested: "
            f"list each {self.kind} in the study"
        )

    def suggest(self, trial: Suggester, name: str) -> Scalar:
        raise ValueError(
            f"{name} must list its values, but allows any name: list each {self.kind} in the study"
        )

    def __str__(self) -> str:
        return f"the name of a {self.kind}"


Distribution: TypeAlias = FloatRange | IntRange | OneOf | AnyName


def narrow(distribution: Distribution, wanted: object) -> Distribution:
    """Return the part of `distribution` that a study selects.

    Args:
        distribution: the values that the method allows.
        wanted: a single value, a list of values, or `{low: …, high: …, log: …}`.

    Raises:
        ValueError: a value is malformed, or lies outside `distribution`.
    """
    if isinstance(wanted, Mapping):
        return _narrow_range(distribution, dict(wanted))
    options = wanted if isinstance(wanted, list | tuple) else [wanted]
    values = tuple(_as_member(distribution, option) for option in options)
    return OneOf(values)


def _as_member(distribution: Distribution, value: object) -> Scalar:
    if not distribution.contains(value):
        raise ValueError(
            f"must be {distribution}, but got {value!r}{_suggested_option(distribution, value)}"
        )
    if isinstance(distribution, FloatRange) and not isinstance(value, str):
        return float(value)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]


def _suggested_option(distribution: Distribution, value: object) -> str:
    names: list[str] = []
    if isinstance(distribution, OneOf):
        names = [str(option) for option in distribution.options]
    elif isinstance(distribution, FloatRange) and distribution.word:
        names = [distribution.word]
    return suggestion(str(value), names)


def _narrow_range(distribution: Distribution, wanted: dict[object, object]) -> Distribution:
    if not isinstance(distribution, FloatRange | IntRange):
        raise ValueError(
            f"must be {distribution}, but got the range {wanted}: give a value or a list of values"
        )
    if unknown := wanted.keys() - {"low", "high", "log"}:
        raise ValueError(
            f"a range must have only low, high and log, but got {sorted(map(str, unknown))}"
        )
    if isinstance(distribution, FloatRange):
        distribution = replace(distribution, word=None)  # a range has numbers alone
    low = _as_member(distribution, wanted.get("low", distribution.low))
    high = _as_member(distribution, wanted.get("high", distribution.high))
    log = wanted.get("log", distribution.log)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, but got {log!r}")
    return type(distribution)(low, high, log)  # type: ignore[arg-type]


def _between(bounds: FloatRange | IntRange, share: float) -> float:
    if share in (0.0, 1.0):  # the floating-point result of 0.3 + (0.9 - 0.3) exceeds 0.9
        return float(bounds.high if share else bounds.low)
    if bounds.log:
        return float(bounds.low * (bounds.high / bounds.low) ** share)
    return float(bounds.low + (bounds.high - bounds.low) * share)


def _check_bounds(bounds: FloatRange | IntRange) -> None:
    low, high = bounds.low, bounds.high
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"low <= high must hold for finite bounds, but got low={low}, high={high}")
    if bounds.log and low <= 0:
        raise ValueError(f"low must be above 0 in a log range, but got low={low}")
