"""Method, the interface of every method: its name, its parameters and its conflicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from spaces.distributions import AnyName, Distribution, FloatRange, IntRange, OneOf, Scalar
from spaces.shrinks import Shrinks

if TYPE_CHECKING:
    from spaces.recipe import Recipe


def param(default: Scalar, distribution: Distribution, *, absent: Scalar | None = None) -> Any:
    """Return a dataclass field for a parameter.

    Args:
        default: the value in a study file that does not name the parameter.
        distribution: the allowed values.
        absent: the value in a stored recipe that has no such parameter, because it was stored
            before the parameter was there; None: the default.
    """
    metadata = {"distribution": distribution, "absent": default if absent is None else absent}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Method:
    """A method of one axis, with the values of its parameters.

    A subclass is a frozen dataclass that declares its fields with `param`. It has no other state:
    recipes with equal values share an instance. The store keeps `name` with each trial, so `name`
    must never change. `shrinks` lists the costs that the method is meant
    to reduce; each pruning and each quantization declares its own.

    Raises:
        ValueError: a parameter lies outside its distribution.
    """

    axis: ClassVar[str]
    name: ClassVar[str]
    shrinks: ClassVar[Shrinks]
    costless: ClassVar[frozenset[str]] = frozenset()
    """Parameters that change neither shapes nor file size; they affect only the learned weights."""
    version: ClassVar[int] = 1
    """Increase this when the method's result changes, also through a change of shared code.

    Trained stages and measured costs are stored with the version. A trial does not reuse those of
    another version.
    """

    def __post_init__(self) -> None:
        for key, distribution in self.distributions().items():
            if not distribution.contains(value := getattr(self, key)):
                raise ValueError(
                    f"{self.axis}.{self.name}.{key} must be {distribution}, but got {value!r}"
                )
            if isinstance(distribution, FloatRange) and not isinstance(value, str):
                # The values 1 and 1.0 must give the same recipe digest.
                object.__setattr__(self, key, float(value))

    @classmethod
    def distributions(cls) -> Mapping[str, Distribution]:
        """Return each parameter's distribution, in the order of the fields."""
        return _distributions(cls)  # type: ignore[arg-type]  # mypy takes no class as hashable

    @classmethod
    def absent_values(cls) -> Mapping[str, Scalar]:
        """Return the value of each parameter in a stored recipe that does not have it."""
        return {field.name: field.metadata["absent"] for field in dataclasses.fields(cls)}

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def written_out(cls, params: Mapping[str, object]) -> Mapping[str, object]:
        """Return a study file's parameters, with values in place of this method's shorthand.

        Raises:
            ValueError: the shorthand is invalid; the message begins with the parameter's name.
        """
        return params

    def params(self) -> dict[str, Scalar]:
        """Return the parameters' values, by name."""
        return {name: getattr(self, name) for name in self.distributions()}

    def with_costless_defaults(self) -> Self:
        """Return this method with the defaults of its costless parameters."""
        own = {key: one for key, one in self.params().items() if key not in self.costless}
        return type(self)(**own)

    def conflict(self, recipe: Recipe) -> str | None:
        """Return the reason why `recipe` can't contain this method; None if it can."""
        return None


@cache
def _distributions(method: type[Method]) -> Mapping[str, Distribution]:
    found = {field.name: field.metadata["distribution"] for field in dataclasses.fields(method)}
    return MappingProxyType(found)


__all__ = ["AnyName", "FloatRange", "IntRange", "Method", "OneOf", "param"]
