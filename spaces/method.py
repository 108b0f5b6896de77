"""Method, the interface of every method: its name, its parameters and its conflicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spaces.distributions import AnyName, Distribution, FloatRange, IntRange, OneOf, Scalar
from spaces.shrinks import Shrinks

if TYPE_CHECKING:
    from spaces.recipe import Recipe


def param(default: Scalar, distribution: Distribution) -> Any:
    """Return a field of a method: its default and its domain."""
    return dataclasses.field(default=default, metadata={"domain": distribution})


@dataclass(frozen=True)
class Method:
    """A method of one axis, with the values of its parameters.

    A subclass is a frozen dataclass whose fields are made by `param`. Its `name` is stored with
    every trial, so it must never change. `shrinks` states what the method makes smaller; each
    method of pruning and quantization states its own.

    Raises:
        ValueError: a parameter lies outside its domain.
    """

    axis: ClassVar[str]
    name: ClassVar[str]
    shrinks: ClassVar[Shrinks]
    costless: ClassVar[frozenset[str]] = frozenset()
    """Parameters that change neither shapes nor bytes: they only affect what is learned."""
    version: ClassVar[int] = 1
    """Increase it when the method computes something else, also by code that it shares with others.

    Trained stages and measured costs are stored with it: those of another version are not reused.
    """

    def __post_init__(self) -> None:
        for key, distribution in self.distributions().items():
            if not distribution.contains(value := getattr(self, key)):
                raise ValueError(
                    f"{self.axis}.{self.name}.{key} must be {distribution}, got {value!r}"
                )
            if isinstance(distribution, FloatRange):
                # 1 and 1.0 are one recipe, with one digest.
                object.__setattr__(self, key, float(value))

    @classmethod
    def distributions(cls) -> Mapping[str, Distribution]:
        """Return each parameter's domain, in the order of the fields."""
        return {field.name: field.metadata["domain"] for field in dataclasses.fields(cls)}

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def written_out(cls, params: Mapping[str, object]) -> Mapping[str, object]:
        """Return a study file's parameters with this method's shorthand replaced by values.

        Raises:
            ValueError: the shorthand is invalid; the message begins with the parameter.
        """
        return params

    def params(self) -> dict[str, Scalar]:
        """Return the parameters' values, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def conflict(self, recipe: Recipe) -> str | None:
        """Return why this choice can't be part of `recipe`; None if it can."""
        return None


__all__ = ["AnyName", "FloatRange", "IntRange", "Method", "OneOf", "param"]
