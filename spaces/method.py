"""Choice, the contract of every method: its name, its parameters, and what it contradicts."""

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
    """A field of a Choice: its default and the values that it may take."""
    return dataclasses.field(default=default, metadata={"domain": distribution})


@dataclass(frozen=True)
class Method:
    """A method of one axis, with the values of its parameters.

    A subclass is a frozen dataclass whose fields are made by `param`. It names itself by `name`,
    which is stored with every trial and therefore for ever. `shrinks` says what it makes smaller;
    each method of pruning and quantization states its own.

    Raises:
        ValueError: a parameter lies outside its domain.
    """

    axis: ClassVar[str]
    name: ClassVar[str]
    shrinks: ClassVar[Shrinks]
    costless: ClassVar[frozenset[str]] = frozenset()
    """Parameters on which neither shapes nor bytes hang: they decide what is learned alone."""
    version: ClassVar[int] = 1
    """Bump it when the method computes something else, also by code that it shares with others.

    Trained stages and measured costs are kept by it: those of an earlier version are not reused.
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
        """Each parameter's domain, in the order in which the fields stand."""
        return {field.name: field.metadata["domain"] for field in dataclasses.fields(cls)}

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def written_out(cls, params: Mapping[str, object]) -> Mapping[str, object]:
        """What a study file says of the parameters, with the shorthand that this method allows
        replaced by values.

        Raises:
            ValueError: the shorthand means nothing; the message begins with the parameter.
        """
        return params

    def params(self) -> dict[str, Scalar]:
        """The parameters' values, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def conflict(self, recipe: Recipe) -> str | None:
        """Why this choice can't stand in `recipe`; None where it can."""
        return None


__all__ = ["AnyName", "FloatRange", "IntRange", "Method", "OneOf", "param"]
