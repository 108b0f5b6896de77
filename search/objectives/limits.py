"""The table of limits. A new limit is an entry here, or a `Limit` in an installed plugin."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from search.objectives.limit import CountedStudent, Limit, Scaling
from search.objectives.units import (
    format_bytes,
    format_count,
    format_milliseconds,
    parse_bytes,
    parse_milliseconds,
)
from spaces.names import expected
from spaces.plugins import PluginError, plugin_entries
from spaces.quantity import parse_count


def _file_bytes(student: CountedStudent) -> int:
    return student.path.stat().st_size


def _parameters(student: CountedStudent) -> int:
    from spaces.counting import count_parameters  # the dashboard reads this table without torch

    return count_parameters(student.network)


def _macs(student: CountedStudent) -> int:
    import torch

    from spaces.counting import count_macs

    return count_macs(student.network, torch.zeros(1, *student.image_shape))


SIZE = Limit(
    name="size",
    cost="size_bytes",
    label="size",
    description="size of the model file that is served",
    parse=parse_bytes,
    format=format_bytes,
    takes="bytes, such as 2MB",
    count=_file_bytes,
    less="smaller",
    more="larger",
    scaling=Scaling.FILE,
)
LATENCY = Limit(
    name="latency",
    cost="latency_ms",
    label="latency",
    description="median time for one image",
    parse=parse_milliseconds,
    format=format_milliseconds,
    write=lambda value: f"{value!r}ms",
    takes="time, such as 5ms",
    count=None,
    less="faster",
    more="slower",
    scaling=Scaling.FILE,
    also={
        "latency_p95_ms": "latency p95",
        "latency_scatter_ms": "latency scatter",
        "latency_disturbed_share": "disturbed rounds",
    },
    doubt="latency_disturbed_share",
)
PARAMETERS = Limit(
    name="parameters",
    cost="parameters",
    label="parameters",
    description="number of weights, biases and other learned values",
    parse=parse_count,
    format=format_count,
    takes="count, such as 500k",
    count=_parameters,
    less="fewer",
    more="more",
)
MACS = Limit(
    name="macs",
    cost="macs",
    label="MACs",
    description="multiply-accumulate operations for one image",
    parse=parse_count,
    format=format_count,
    takes="count, such as 500k",
    count=_macs,
    less="fewer",
    more="more",
)

_OWN = (SIZE, LATENCY, PARAMETERS, MACS)
# The other keys of a study file's budget.
_TAKEN = ("recall", "metrics", "target")


@cache
def limits() -> Mapping[str, Limit]:
    """Return all limits by name: retort's own limits, then those of installed plugins.

    Raises:
        PluginError: two limits have the same name or stored cost; a plugin's limit has no `count`,
            or the name of another key of the budget.
    """
    found: dict[str, Limit] = {}
    costs: set[str] = set()
    for limit in (*_OWN, *plugin_entries(Limit)):
        if found.get(limit.name) is limit:
            continue  # a plugin's module may also contain limits that it imports from here
        if limit.is_timed and limit is not LATENCY:
            raise PluginError(
                f"limit {limit.name!r} must have `count`, because targets measure only latency"
            )
        if limit.name in _TAKEN:
            raise PluginError(
                f"the name of a limit must not be {', '.join(_TAKEN)}, which are other keys of the "
                f"budget, but a plugin has a limit {limit.name!r}: rename it"
            )
        own = {limit.cost, *limit.also}
        if limit.name in found or costs & own:
            raise PluginError(
                "limits must differ in their names and stored costs, but another limit has the "
                f"name {limit.name!r} or one of the costs {', '.join(sorted(own))}: rename it in "
                "the plugin"
            )
        found[limit.name] = limit
        costs |= own
    return MappingProxyType(found)


def limit_of(name: str) -> Limit:
    """Return the limit with this name.

    Raises:
        ValueError: there is no such limit; the message names similar ones.
    """
    known = limits()
    if name not in known:
        raise ValueError(expected("limit", name, known))
    return known[name]


@cache
def limit_on(cost: str) -> Limit:
    """Return the limit with this stored name of its cost.

    Raises:
        KeyError: there is no such limit.
    """
    return {limit.cost: limit for limit in limits().values()}[cost]
