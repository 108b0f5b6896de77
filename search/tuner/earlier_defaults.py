"""A resumed study keeps the defaults that it began with.

A parameter that a study file does not name has the default of the version that reads the file. If a
later version has another default, the study's earlier trials would lie outside of its space.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from search.analysis.finals import of_kind
from search.config.study import Study
from search.records import TrialKind, TrialRecord
from spaces import registry
from spaces.distributions import Distribution, Scalar


def with_earlier_defaults(study: Study, trials: Sequence[TrialRecord]) -> Study:
    """Return the study with the values of its trials for parameters whose default has changed.

    Only trials of the search count: finalists have more epochs than the space. A batch that a trial
    halved for want of memory is no default either.

    Args:
        study: the study, as this version reads it.
        trials: its trials. A parameter that a trial does not have is newer than the trial, and has
            the method's absent value.
    """
    recipes = [trial.params for trial in of_kind(trials, TrialKind.SEARCH)]
    space = dict(study.space)
    for axis, methods in study.search_space().axes.items():
        given = _by_method(space.get(axis), methods)
        kept: dict[str, Any] = {}
        for name, distributions in methods.items():
            absent = registry.method(axis, name).absent_values()
            own = [one for one in recipes if one.get(axis) == name]
            for key, distribution in distributions.items():
                flat = f"{axis}.{name}.{key}"
                values = list(dict.fromkeys(one.get(flat, absent[key]) for one in own))
                is_named = key in given[name]
                if not is_named and not all(
                    was_allowed(distribution, key, value) for value in values
                ):
                    kept.setdefault(name, {})[key] = values
        if kept:
            space[axis] = {name: given[name] | kept.get(name, {}) for name in methods}
    return study.model_copy(update={"space": space})


def _by_method(config: object, methods: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Return the parameters that a study's axis gives to each method, in whatever form it does."""
    params = config if isinstance(config, Mapping) else {}
    return {name: dict(params.get(name) or {}) for name in methods}


def was_allowed(distribution: Distribution, key: str, value: Scalar) -> bool:
    """Return whether the distribution contains the value, or the double of a batch size.

    Args:
        distribution: the parameter's distribution.
        key: the parameter's name, with or without those of its axis and method.
        value: the value of a trial.
    """
    values = [value]
    if key.rpartition(".")[2] == "batch_size" and isinstance(value, int):
        values += [2 * value, 2 * value + 1]
    return any(distribution.contains(one) for one in values)
