"""What is proposed next, and how long it is looked for."""

import itertools
from collections.abc import Callable

import pytest

from search.records import Outcome, TrialState
from search.samplers.optuna_adapter import Sampler
from search.tuner import proposer
from search.tuner.proposer import Proposer
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from tests.messages import naming
from tests.recorder import TrialRecorder

SPACE = SearchSpace.from_config(
    {
        "student": {"timm": {"model": "test_resnet", "pretrained": False}},
        "training": {"standard": {"learning_rate": [1e-3, 2e-3, 3e-3], "epochs": [1, 2]}},
        "distillation": ["labels"],
        "pruning": ["none"],
        "quantization": ["float32"],
    }
)
REFUSED = Outcome(state=TrialState.INFEASIBLE, reason="too large")


@pytest.fixture
def recorder() -> TrialRecorder:
    return TrialRecorder()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second further at each look at it."""
    seconds = itertools.count()
    monkeypatch.setattr(proposer.time, "monotonic", lambda: float(next(seconds)))


def _proposer(
    recorder: TrialRecorder, gate: Callable[[Recipe], Outcome | None], *, is_ending: bool = False
) -> Proposer:
    sampler = Sampler(SPACE, name="random", seed=0, gate=gate)
    return Proposer(sampler, recorder, is_ending=lambda: is_ending)


def _turning_away(count: int, judged: list[Recipe]) -> Callable[[Recipe], Outcome | None]:
    """A gate that lets through what comes after so many."""

    def gate(recipe: Recipe) -> Outcome | None:
        judged.append(recipe)
        return REFUSED if len(judged) <= count else None

    return gate


@pytest.mark.usefixtures("clock")
def test_while_others_wait_it_is_looked_for_a_little_at_a_time(recorder: TrialRecorder) -> None:
    judged: list[Recipe] = []
    asked = _proposer(recorder, _turning_away(2, judged))
    assert asked.take(others_wait=True) is None
    assert len(judged) == 1
    asked.look_ahead()
    assert len(judged) == 2
    assert asked.take(others_wait=True) == judged[2]
    assert not asked.is_exhausted
    assert recorder.said == []


@pytest.mark.usefixtures("clock")
def test_where_nobody_waits_it_is_looked_for_until_it_is_found(recorder: TrialRecorder) -> None:
    judged: list[Recipe] = []
    assert _proposer(recorder, _turning_away(4, judged)).take(others_wait=False)
    assert len(judged) == 5


def test_what_was_found_ahead_is_given_next_and_once(recorder: TrialRecorder) -> None:
    judged: list[Recipe] = []
    asked = _proposer(recorder, _turning_away(0, judged))
    for _ in range(2):
        asked.look_ahead()
    assert len(judged) == 1
    assert [asked.take(others_wait=False) for _ in range(2)] == judged


def test_that_nothing_is_left_is_said_once_until_there_may_be_more(recorder: TrialRecorder) -> None:
    asked = _proposer(recorder, lambda recipe: REFUSED)
    for _ in range(2):
        assert asked.take(others_wait=False) is None
    assert asked.is_exhausted
    (said,) = recorder.said
    assert naming("recipe").search(said)
    asked.look_again()
    assert not asked.is_exhausted
    assert asked.take(others_wait=False) is None
    assert len(recorder.said) == 2


def test_nothing_is_looked_for_once_the_search_ends(recorder: TrialRecorder) -> None:
    judged: list[Recipe] = []
    asked = _proposer(recorder, _turning_away(0, judged), is_ending=True)
    assert asked.take(others_wait=False) is None
    assert (judged, asked.is_exhausted) == ([], False)
