"""How Ray is answered: processes start before there are trials, and the tuner is asked in time."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from search.ray_backend import searcher
from search.ray_backend.searcher import RaySearcher
from search.ray_backend.worker import OUTCOME, TRIAL
from search.records import Outcome, TrialState
from search.tuner.trial import Trial
from spaces.distillation.labels import Labels
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

RECIPE = Recipe(
    student=Timm(model="test_resnet"),
    training=Standard(),
    distillation=Labels(),
    pruning=NoPruning(),
    quantization=Float32(),
)
STARTED: dict[str, Any] = {"done": False}


@dataclass
class _Tuner:
    missing: int = 9
    is_over: bool = False
    numbers: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    looked: int = 0

    def next(self) -> Trial:
        self.numbers.append(len(self.numbers))
        return Trial(number=self.numbers[-1], recipe=RECIPE, seed=0)

    def look_ahead(self) -> None:
        self.looked += 1

    def on_trial_end(self, number: int, outcome: object, cause: object) -> None:
        self.ended.append(number)


@pytest.fixture
def tuner() -> _Tuner:
    return _Tuner()


@pytest.fixture
def surveys() -> list[int]:
    return []


@pytest.fixture
def asked(tuner: _Tuner, surveys: list[int]) -> RaySearcher:
    return RaySearcher(tuner, 2, lambda: surveys.append(1))  # type: ignore[arg-type]


def test_processes_start_before_a_trial_is_chosen_and_what_is_unknown_is_found_out_meanwhile(
    asked: RaySearcher, tuner: _Tuner, surveys: list[int]
) -> None:
    assert asked.suggest("a") == asked.suggest("b") == {TRIAL: None}
    assert asked.suggest("c") is None
    assert surveys == [1]
    assert not asked.should_stop("a", STARTED)
    # One is up, and could run a trial as soon as the other is.
    assert asked.suggest("c") is None
    assert surveys == [1]
    assert asked.should_stop("b", STARTED)
    assert asked.should_stop("a", STARTED)
    for name in "ab":
        asked.on_trial_complete(name, STARTED)
    given = asked.suggest("c")
    assert given is not None
    assert given[TRIAL].number == 0
    assert tuner.ended == []


def test_what_is_unknown_is_found_out_until_a_trial_reports(
    asked: RaySearcher, surveys: list[int]
) -> None:
    for name in "ab":
        asked.suggest(name)
        asked.on_trial_complete(name, STARTED)
    asked.suggest("c")
    asked.suggest("d")
    assert asked.suggest("e") is None
    assert surveys == [1]
    asked.should_stop("c", {"done": True})
    assert asked.suggest("e") is None
    assert surveys == [1]


def test_a_process_that_comes_late_is_not_waited_for(
    asked: RaySearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "_LATE_S", -1.0)
    asked.suggest("a")
    asked.suggest("b")
    assert asked.should_stop("a", STARTED)


def test_a_process_that_can_not_start_leaves_its_place_to_a_trial(asked: RaySearcher) -> None:
    asked.suggest("a")
    asked.suggest("b")
    asked.on_trial_complete("a", error=True)
    assert asked.number("a") is None
    given = asked.suggest("c")
    assert given is not None
    assert given[TRIAL] is not None


def test_no_more_processes_start_than_there_are_trials(tuner: _Tuner) -> None:
    tuner.missing = 1
    narrow = RaySearcher(tuner, 2, lambda: None)  # type: ignore[arg-type]
    assert narrow.suggest("a") == {TRIAL: None}
    given = narrow.suggest("b")
    assert given is not None
    assert given[TRIAL] is not None


def test_while_all_workers_are_busy_the_driver_looks_ahead(
    asked: RaySearcher, tuner: _Tuner
) -> None:
    for name in "ab":
        asked.suggest(name)
        asked.on_trial_complete(name, STARTED)
    asked.suggest("c")
    asked.suggest("d")
    assert (tuner.numbers, tuner.looked) == ([0, 1], 0)
    assert asked.suggest("e") is None
    assert tuner.looked == 1
    outcome = Outcome(state=TrialState.COMPLETE)
    asked.on_trial_complete("c", {"done": True, OUTCOME: outcome})
    assert tuner.ended == [0]
    assert asked.suggest("e") is not None
