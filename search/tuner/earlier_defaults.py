"""A resumed study keeps the defaults that it began with.

A parameter that a study file does not name has the default of the version that reads the file. If a
later version has another default, the study's earlier trials would lie outside of its space.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from search.config.study import Study
from spaces.distributions import Scalar


def with_earlier_defaults(study: Study, recipes: Sequence[Mapping[str, Scalar]]) -> Study:
    """Return the study with the values of its trials for parameters whose default has changed.

    Args:
        study: the study, as this version reads it.
        recipes: the flat parameters of its trials. A parameter that a trial does not have is newer
            than the trial, and has the default that keeps its meaning.
    """
    space = dict(study.space)
    for axis, methods in study.search_space().axes.items():
        given = _by_method(space.get(axis), methods)
        kept: dict[str, Any] = {}
        for name, distributions in methods.items():
            for key, distribution in distributions.items():
                flat = f"{axis}.{name}.{key}"
                values = list(dict.fromkeys(one[flat] for one in recipes if flat in one))
                is_named = key in given[name]
                if not is_named and not all(distribution.contains(value) for value in values):
                    kept.setdefault(name, {})[key] = values
        if kept:
            space[axis] = {name: given[name] | kept.get(name, {}) for name in methods}
    return study.model_copy(update={"space": space})


def _by_method(config: object, methods: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Return the parameters that a study's axis gives to each method, in whatever form it does."""
    params = config if isinstance(config, Mapping) else {}
    return {name: dict(params.get(name) or {}) for name in methods}
