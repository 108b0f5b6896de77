"""A known cost, completed from a later measurement of the same student."""

from search.objectives.limit import Limit
from search.objectives.limits import limits
from search.records import Cost


def completed(known: Cost, cost: Cost) -> Cost:
    """Return the known cost with the values of `cost` that it lacks.

    The values of one limit belong to one measurement, so they are never mixed. Doubtful values are
    replaced by values that can be trusted.
    """
    found = {**cost, **known}
    for limit in limits().values():
        source = known if _keeps(limit, known, cost) else cost
        for name in (limit.cost, *limit.also):
            found.pop(name, None)
            if name in source:
                found[name] = source[name]
    return found


def _keeps(limit: Limit, known: Cost, cost: Cost) -> bool:
    """Return whether the known values of the limit are kept."""
    if limit.cost not in known or limit.cost not in cost:
        return limit.cost in known
    return limit.is_doubtful(cost) or not limit.is_doubtful(known)
