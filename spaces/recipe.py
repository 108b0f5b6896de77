"""Recipe: one method for each axis, with conversion to and from flat parameters."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Self

from spaces import registry
from spaces.axes.distillation import Distillation
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.axes.student import Student
from spaces.axes.training import Training
from spaces.distributions import Scalar
from spaces.method import Method


@dataclass(frozen=True)
class Recipe:
    """The methods and parameters that one trial applies to one student.

    Optuna and the store use its flat form. The flat form has a key for each axis, and a key for
    each parameter of the chosen methods, such as
    `{"pruning": "magnitude", "pruning.magnitude.ratio": 0.34, …}`.
    """

    student: Student
    training: Training
    distillation: Distillation
    pruning: Pruning
    quantization: Quantization

    @classmethod
    def from_params(cls, params: Mapping[str, Scalar]) -> Self:
        """Return the recipe of flat parameters; an absent one has its method's `absent_values`.

        Raises:
            ValueError: an axis or a method is unknown or missing, or a value lies outside its
                distribution.
        """
        methods = {axis.name: _chosen_method(axis.name, params) for axis in fields(cls)}
        known = {key for method in methods.values() for key in flat_keys(type(method))}
        if unknown := sorted(params.keys() - known - methods.keys()):
            raise ValueError(
                f"a recipe of these methods must have only the parameters {sorted(known)}, "
                f"but got {unknown}"
            )
        return cls(**methods)  # type: ignore[arg-type]

    def to_params(self) -> dict[str, Scalar]:
        """Return the flat parameters, including every default."""
        params: dict[str, Scalar] = {}
        for method in self.methods():
            params[method.axis] = method.name
            for flat, key in flat_keys(type(method)).items():
                params[flat] = getattr(method, key)
        return params

    def methods(self) -> tuple[Method, ...]:
        """Return the methods, in the order of compression."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def versions(self) -> dict[str, int]:
        """Return the version of each method, by its axis."""
        return {method.axis: method.version for method in self.methods()}

    def conflict(self) -> str | None:
        """Return the reason why two choices contradict each other; None if no choices do."""
        for method in self.methods():
            if reason := method.conflict(self):
                return f"{method.axis}.{method.name}: {reason}"
        return None

    def digest(self) -> str:
        """Return the hexadecimal SHA-256 of the flat parameters."""
        return hashlib.sha256(json.dumps(self.to_params(), sort_keys=True).encode()).hexdigest()


def flat_keys(method: type[Method]) -> Mapping[str, str]:
    """Return the name of each parameter in the method, by its flat key."""
    return _flat_keys(method)  # type: ignore[arg-type]  # mypy takes no class as hashable


@cache
def _flat_keys(method: type[Method]) -> Mapping[str, str]:
    keys = {f"{method.axis}.{method.name}.{key}": key for key in method.distributions()}
    return MappingProxyType(keys)


def _chosen_method(axis: str, params: Mapping[str, Scalar]) -> Method:
    if axis not in params:
        raise ValueError(
            f"a recipe must name a method for the axis {axis}, but has only {sorted(params)}"
        )
    method = registry.method(axis, str(params[axis]))
    absent = _absent_values(method)  # type: ignore[arg-type]
    values = tuple(params.get(flat, absent[key]) for flat, key in flat_keys(method).items())
    if not all(isinstance(value, bool | int | float | str) for value in values):
        return _made(method, values)  # it refuses the value, which can perhaps not be hashed
    return _instance(method, values, tuple(map(type, values)))  # type: ignore[arg-type]


@cache
def _absent_values(method: type[Method]) -> Mapping[str, Scalar]:
    return method.absent_values()


@lru_cache(maxsize=4096)
def _instance(method: type[Method], values: tuple[Scalar, ...], types: tuple[type, ...]) -> Method:
    """Return the method with these values; a sampler asks for the same ones again and again.

    Args:
        method: the method.
        values: those of its parameters, in their order.
        types: those of the values, since 1 equals True.
    """
    return _made(method, values)


def _made(method: type[Method], values: tuple[Scalar, ...]) -> Method:
    return method(**dict(zip(method.distributions(), values, strict=True)))
