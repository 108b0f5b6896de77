"""Balanced accuracy beside an accuracy that hides it: in headlines, tables and the report."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames import axes_of
from dashboard.panels.headline import teacher_in_words
from dashboard.panels.table import columns
from dashboard.report.results import results_of
from search.analysis.recommend import advise
from search.objectives.budget import stored_budget
from search.objectives.goal import DEFAULT_GOAL
from search.records import Quality, StudyRecord, TrialRecord
from search.storage.storage import Store
from tests.dashboard.conftest import MakeStore
from tests.dashboard.made_studies import TEACHER, add_study
from tests.measured import quality

SIGNS = quality(accuracy=0.339, balanced_accuracy=0.172)
EVEN = quality(accuracy=0.339, balanced_accuracy=0.337)


@pytest.fixture
def made(make_store: MakeStore) -> tuple[StudyRecord, Sequence[TrialRecord]]:
    """A study and its trials."""
    with Store.open(make_store(add_study), read_only=True) as store:
        return store.study("digits"), store.trials("digits")


def _with(trials: Sequence[TrialRecord], found: Quality) -> list[TrialRecord]:
    """The trials, each measured student with this quality on both parts."""
    return [
        replace(trial, outcome=replace(trial.outcome, quality=found), test=found)
        if trial.outcome is not None and trial.outcome.quality
        else trial
        for trial in trials
    ]


@pytest.mark.parametrize(("found", "shown"), [(SIGNS, True), (EVEN, False)])
def test_the_report_has_a_card_and_a_column_of_it(
    made: tuple[StudyRecord, Sequence[TrialRecord]], found: Quality, shown: bool
) -> None:
    study, trials = made
    results = results_of(study, _with(trials, found), {})
    cards = [card.name for card in results.choice.cards]
    assert ("balanced accuracy" in cards) is ("test balanced accuracy" in cards) is shown
    assert ("balanced accuracy" in results.members.names) is shown
    if shown:
        assert cards[:2] == ["accuracy", "balanced accuracy"]
        assert all("17.20%" in " ".join(numbers) for numbers, _ in results.members.rows)


def test_the_teacher_is_told_with_it() -> None:
    told = teacher_in_words(replace(TEACHER, quality=SIGNS), DEFAULT_GOAL)
    assert told.startswith("33.9%, balanced accuracy 17.2%, 44.7 MB")
    assert "balanced" not in teacher_in_words(replace(TEACHER, quality=EVEN), DEFAULT_GOAL)


def test_it_is_the_column_after_that_of_the_goals_metric(
    made: tuple[StudyRecord, Sequence[TrialRecord]],
) -> None:
    names = list(columns(axes_of(made[1])))
    assert names[names.index("accuracy") + 1] == "balanced_accuracy"


def test_a_student_has_a_tile_of_it_compared_with_the_teachers(
    made: tuple[StudyRecord, Sequence[TrialRecord]],
) -> None:
    study, trials = made
    advice = advise(_with(trials, SIGNS), stored_budget(study.config), DEFAULT_GOAL)
    assert advice is not None
    teacher = replace(TEACHER, quality=quality(accuracy=0.348, balanced_accuracy=0.193))

    def page(trial: object, teacher: object, goal: object) -> None:
        from dashboard.panels.headline import show_measures

        show_measures(trial, teacher, goal)  # type: ignore[arg-type]

    values = {"trial": advice.chosen, "teacher": teacher, "goal": DEFAULT_GOAL}
    app = AppTest.from_function(page, kwargs=values, default_timeout=800).run()
    tiles = [(tile.label, tile.value, tile.delta) for tile in app.metric]
    assert tiles[:2] == [
        ("Accuracy", "33.9% ± 2.9%", "0.9 points below"),
        ("Balanced accuracy", "17.2% ± 2.3%", "2.1 points below"),
    ]
