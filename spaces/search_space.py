"""SearchSpace: the methods and the parameter ranges that a study searches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from spaces import registry
from spaces.axes.order import AXES
from spaces.distributions import Distribution, OneOf, Scalar, Suggester, narrow
from spaces.names import expected

# The method of an axis that a study does not mention.
_DEFAULT_METHODS = {
    "training": "standard",
    "distillation": "soft_targets",
    "pruning": "none",
    "quantization": "float32",
}

Methods = Mapping[str, Mapping[str, Distribution]]


@dataclass(frozen=True)
class SearchSpace:
    """The allowed methods of each axis, and the distributions of each method's parameters.

    A recipe has only the parameters of its chosen methods, so the space is conditional.
    """

    axes: Mapping[str, Methods]

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> "SearchSpace":
        """Return the space that a study's `space:` section describes.

        An axis is a list of method names, or a mapping from a method's name to its parameters. A
        parameter is a value, a list of values, or `{low: …, high: …, log: …}`. An absent parameter
        has its default. An absent axis has one default method.

        Raises:
            ValueError: a name is unknown, or a value is malformed or outside its distribution. The
                message begins with the key.
        """
        names = [axis.axis for axis in AXES]
        for key in config:
            if key not in names:
                raise ValueError(f"{key}: {_expected('axis', str(key), names)}")
        if "student" not in config:
            raise ValueError(
                "student: a space must list the students, but has no such key: add, for example, "
                "{timm: {model: [resnet18, mobilenetv3_small_100]}}"
            )
        return cls(
            {name: _axis(name, config.get(name, _DEFAULT_METHODS.get(name))) for name in names}
        )

    @staticmethod
    def written_out(config: Mapping[str, object]) -> dict[str, object]:
        """Return a valid `space:` section with names in place of shorthand, such as globs.

        So its meaning does not depend on the version of the code that reads it.
        """
        written: dict[str, object] = dict(config)
        for axis, methods in config.items():
            if isinstance(methods, Mapping):
                written[axis] = {
                    name: registry.method(axis, name).written_out(params) if params else params
                    for name, params in methods.items()
                }
        return written

    def suggest(self, trial: Suggester) -> dict[str, Scalar]:
        """Return the flat parameters of one recipe that `trial` proposes."""
        params: dict[str, Scalar] = {}
        for axis, (names, methods) in self._by_axis.items():
            name = str(names.suggest(trial, axis))
            params[axis] = name
            for flat, distribution in methods[name].items():
                params[flat] = distribution.suggest(trial, flat)
        return params

    @cached_property
    def _by_axis(self) -> Mapping[str, tuple[OneOf, Methods]]:
        """The choice of the method on each axis, and each method's parameters by flat key."""
        return {
            axis: (
                OneOf(tuple(methods)),
                {
                    name: {f"{axis}.{name}.{key}": one for key, one in params.items()}
                    for name, params in methods.items()
                },
            )
            for axis, methods in self.axes.items()
        }

    def count(self) -> float:
        """Return the number of distinct recipes; infinity if a range is continuous."""
        return math.prod(
            sum(
                math.prod(distribution.count() for distribution in params.values())
                for params in axis.values()
            )
            for axis in self.axes.values()
        )

    def contains(self, params: Mapping[str, Scalar]) -> bool:
        """Return whether the recipe of these flat parameters belongs to this space."""
        distributions = self.distributions()
        return all(
            key in distributions and distributions[key].contains(params[key]) for key in params
        )

    def distributions(self) -> dict[str, Distribution]:
        """Return every flat parameter's distribution, including the choice of method."""
        flat: dict[str, Distribution] = {}
        for axis, (names, methods) in self._by_axis.items():
            flat[axis] = names
            for params in methods.values():
                flat |= params
        return flat


def _axis(axis: str, config: object) -> Methods:
    if isinstance(config, str):
        config = [config]
    named = _listed(axis, config) if isinstance(config, list) else config
    if not isinstance(named, Mapping) or not named:
        raise ValueError(
            f"{axis}: must name at least one method of "
            f"{', '.join(registry.methods(axis))}, but got {config!r}"
        )
    return {str(name): _method(axis, str(name), params) for name, params in named.items()}


def _listed(axis: str, names: list[object]) -> dict[object, None]:
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{axis}: each item must be the name of a method, but got {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"{axis}: must list each method once, but got {name!r} twice")
    return dict.fromkeys(names)


def _method(axis: str, name: str, config: object) -> Mapping[str, Distribution]:
    try:
        method = registry.method(axis, name)
    except ValueError as error:
        raise ValueError(f"{axis}.{name}: {error}") from None
    config = {} if config is None else config
    place = f"{axis}.{name}"
    if not isinstance(config, Mapping):
        raise ValueError(f"{place}: must map parameters to values, but got {config!r}")
    distributions = method.distributions()
    for key in config:
        if key not in distributions:
            raise ValueError(
                f"{place}.{key}: {_expected('parameter', str(key), list(distributions))}"
            )
    try:
        config = method.written_out(config)
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None
    defaults = method().params()
    return {
        key: _narrowed(f"{place}.{key}", distribution, config.get(key, defaults[key]))
        for key, distribution in distributions.items()
    }


def _narrowed(place: str, distribution: Distribution, wanted: object) -> Distribution:
    try:
        return narrow(distribution, wanted)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _expected(kind: str, given: str, known: list[str]) -> str:
    if not known:
        return f"there must be no {kind} here, but got {given!r}: remove it"
    return expected(kind, given, known)
