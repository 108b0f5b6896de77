"""Which stages a study's frontier was made of: the cache must not throw these away."""

from dataclasses import dataclass

from search.pipeline.stage_cache import Lineage, StageCache
from search.records import Outcome, TrialState
from spaces.recipe import Recipe


@dataclass(frozen=True)
class _FrontierStudent:
    costs: tuple[float, float, float]  # error, bytes, milliseconds
    keys: frozenset[str]

    def beats(self, other: "_FrontierStudent") -> bool:
        return all(mine <= theirs for mine, theirs in zip(self.costs, other.costs, strict=True))


class FrontierPins:
    """Follows a study's frontier, and pins the stages that it was made of.

    Args:
        owner: a name that no other study has that shares the cache.
        lineage: of its stages.
        cache: that keeps them.
    """

    def __init__(self, owner: str, lineage: Lineage, cache: StageCache) -> None:
        self._owner = owner
        self._lineage = lineage
        self._cache = cache
        self._frontier: list[_FrontierStudent] = []
        self._moved = False

    def keep(self) -> None:
        """Pins what the frontier is made of, and nothing else, if it has moved since."""
        if self._moved:
            self._cache.pin(self._owner, {key for one in self._frontier for key in one.keys})
            self._moved = False

    def note(self, recipe: Recipe, seed: int, outcome: Outcome) -> None:
        """Hears how a trial ended, or a branch of one."""
        if outcome.state is not TrialState.COMPLETE or any(
            excess > 0 for excess in outcome.violations.values()
        ):
            return
        assert outcome.cost
        assert outcome.quality
        student = _FrontierStudent(
            (
                1 - outcome.quality.accuracy,
                outcome.cost.size_bytes,
                outcome.cost.latency_ms or float("inf"),
            ),
            self._lineage.keys(recipe, seed),
        )
        if any(other.beats(student) for other in self._frontier):
            return
        left = [other for other in self._frontier if not student.beats(other)]
        self._frontier = [*left, student]
        self._moved = True
