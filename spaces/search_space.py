"""SearchSpace: the part of the catalogue that a study opens, with its ranges."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from spaces import registry
from spaces.axes.order import AXES
from spaces.distributions import Distribution, OneOf, Scalar, Suggester, narrow

# What an axis is set to where a study does not open it.
_UNOPENED = {
    "training": "standard",
    "distillation": "soft_targets",
    "pruning": "none",
    "quantization": "float32",
}

Methods = Mapping[str, Mapping[str, Distribution]]


@dataclass(frozen=True)
class SearchSpace:
    """For each axis the methods that may be chosen, and for each of them its parameters' domains.

    Parameters exist only under the method that owns them, so the space is conditional.
    """

    axes: Mapping[str, Methods]

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> "SearchSpace":
        """The space that a study's `space:` section describes.

        An axis is a list of method names, or a mapping from a method's name to its parameters. A
        parameter is a value, a list of values, or `{low: …, high: …, log: …}`; one that is not
        mentioned keeps its default. An axis that is not mentioned keeps one method.

        Raises:
            ValueError: something is unknown, malformed or outside its domain; the message begins
                with the place.
        """
        names = [axis.axis for axis in AXES]
        for key in config:
            if key not in names:
                raise ValueError(f"{key}: {_expected('axis', str(key), names)}")
        if "student" not in config:
            raise ValueError(
                "student: a space must list the students, for example "
                "{timm: {model: [resnet18, mobilenetv3_small_100]}}"
            )
        return cls({name: _axis(name, config.get(name, _UNOPENED.get(name))) for name in names})

    @staticmethod
    def written_out(config: Mapping[str, object]) -> dict[str, object]:
        """A sound `space:` section with its shorthand replaced, such as globs by models' names.

        What was written out once stays so, whatever another version's shorthand would mean.
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
        """Flat parameters of one recipe, proposed by `trial`."""
        params: dict[str, Scalar] = {}
        for axis, methods in self.axes.items():
            name = str(OneOf(tuple(methods)).suggest(trial, axis))
            params[axis] = name
            for key, distribution in methods[name].items():
                flat = f"{axis}.{name}.{key}"
                params[flat] = distribution.suggest(trial, flat)
        return params

    def count(self) -> float:
        """Number of distinct recipes; infinity where a range is continuous."""
        return math.prod(
            sum(
                math.prod(distribution.count() for distribution in params.values())
                for params in axis.values()
            )
            for axis in self.axes.values()
        )

    def contains(self, params: Mapping[str, Scalar]) -> bool:
        """Whether the recipe of these flat parameters is one of this space's."""
        distributions = self.distributions()
        return all(
            key in distributions and distributions[key].contains(params[key]) for key in params
        )

    def distributions(self) -> dict[str, Distribution]:
        """Every flat parameter's domain, the choice of method included."""
        flat: dict[str, Distribution] = {}
        for axis, methods in self.axes.items():
            flat[axis] = OneOf(tuple(methods))
            for name, params in methods.items():
                flat |= {
                    f"{axis}.{name}.{key}": distribution for key, distribution in params.items()
                }
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
            raise ValueError(f"{axis}: must list names of methods, but one is {name!r}")
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
        return f"there is no {kind} to set here, but got {given!r}"
    near = difflib.get_close_matches(given, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{kind} must be one of {', '.join(known)}, but got {given!r}{hint}"
