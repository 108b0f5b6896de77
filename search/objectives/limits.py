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
    description="of the file that is shipped",
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
    description="the median, for one image at a time",
    parse=parse_milliseconds,
    format=format_milliseconds,
    write=lambda value: f"{value!r}ms",
    takes="time, such as 5ms",
    count=None,
    less="faster",
    more="slower",
    scaling=Scaling.FILE,
    also={"latency_p95_ms": "latency p95"},
)
PARAMETERS = Limit(
    name="parameters",
    cost="parameters",
    label="parameters",
    description="numbers that were learned",
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
    description="multiply-accumulates for one image",
    parse=parse_count,
    format=format_count,
    takes="count, such as 500k",
    count=_macs,
    less="fewer",
    more="more",
)

_OWN = (SIZE, LATENCY, PARAMETERS, MACS)


@cache
def limits() -> Mapping[str, Limit]:
    """Return all limits by name: retort's own, then those of installed plugins.

    Raises:
        PluginError: two bear one name or store one cost, or a plugin's can't be measured.
    """
    found: dict[str, Limit] = {}
    costs: set[str] = set()
    for limit in (*_OWN, *plugin_entries(Limit)):
        if found.get(limit.name) is limit:
            continue  # a plugin imports this module
        if limit.is_timed and limit is not LATENCY:
            raise PluginError(f"limit {limit.name!r} must have `count`: targets time latency alone")
        own = {limit.cost, *limit.also}
        if limit.name in found or costs & own:
            raise PluginError(
                f"limits must differ in name and in the costs that they store, but {limit.name!r}, "
                f"which stores {', '.join(sorted(own))}, is taken"
            )
        found[limit.name] = limit
        costs |= own
    return MappingProxyType(found)


def limit_of(name: str) -> Limit:
    """Return the limit of that name.

    Raises:
        ValueError: there is none; says what comes near.
    """
    known = limits()
    if name not in known:
        raise ValueError(expected("limit", name, known))
    return known[name]


@cache
def limit_on(cost: str) -> Limit:
    """Return the limit whose values are stored under that name.

    Raises:
        KeyError: there is none.
    """
    return {limit.cost: limit for limit in limits().values()}[cost]
