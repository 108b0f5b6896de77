"""What a run shows: a live picture on a terminal, plain lines elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from search.cli.display import LiveDisplay, PlainLines
from search.config.study import Study
from search.errors import StoreError
from search.progress import FinalPlace
from search.records import EpochRecord, Outcome, Purpose, TrialKind
from search.storage.storage import Store
from tests.messages import naming
from tests.search.cli.made_outcomes import (
    COMPLETE,
    FAILED,
    INFEASIBLE,
    PARAMS,
    PRUNED,
    SMALLER,
    TEACHER,
)

DURATION = re.compile(r"\d+\.\d+s|\d+m \d+s")
POINT = EpochRecord(stage="distil", epoch=1, loss=0.5, score=0.625, learning_rate=0.01)


@pytest.fixture
def study() -> Study:
    return Study.model_validate(
        {
            "study": "digits",
            "data": {"source": "digits"},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": {"student": {"timm": {"model": "test_resnet"}}},
            "search": {"trials": 4},
        }
    )


@pytest.fixture
def picture(study: Study, add_study: object) -> Iterator[LiveDisplay]:
    with Store.open("sqlite:///retort.db") as store:
        store.create_study("digits", config={"study": "digits"}, artifacts="artifacts")
        store.record_teacher("digits", TEACHER)
        yield LiveDisplay(study, store)


def _shown(picture: LiveDisplay, *, width: int = 80) -> str:
    console = Console(record=True, force_terminal=True, width=width, file=StringIO())
    console.print(picture.render())
    return console.export_text()


def _end(picture: LiveDisplay, outcome: Outcome) -> None:
    number = picture.store.start_trial("digits", params=PARAMS, seed=0)
    picture.on_trial_start(number, PARAMS)
    picture.store.finish_trial("digits", number, outcome)
    picture.on_trial_end(number, PARAMS, outcome)
    picture.on_trial_exit(number)


def test_the_picture_begins_with_what_is_going_on(picture: LiveDisplay) -> None:
    picture.log("teacher: epoch 1 of 2 [best]")
    shown = _shown(picture)
    assert naming("0/4").search(shown)
    assert "teacher: epoch 1 of 2 [best]" in shown
    assert len(DURATION.findall(shown)) == 1  # what has passed


def test_the_picture_shows_where_each_running_trial_is(picture: LiveDisplay) -> None:
    picture.on_trial_start(0, PARAMS)
    picture.on_trial_start(1, PRUNED)
    picture.on_trial_report(1, POINT)
    lines = _shown(picture, width=100).splitlines()
    assert any(naming("trial 0", "test_resnet", "labels", "float32").search(line) for line in lines)
    second = next(line for line in lines if "trial 1" in line)
    assert "magnitude 0.25" in second
    assert naming("distil", 2, "62.50%").search(second)


def test_the_picture_counts_trials_by_state_and_estimates_what_is_left(
    picture: LiveDisplay,
) -> None:
    for outcome in (COMPLETE, INFEASIBLE, INFEASIBLE):
        _end(picture, outcome)
    shown = _shown(picture)
    assert naming("1/4", "complete 1", "infeasible 2").search(shown)
    assert len(DURATION.findall(shown)) == 2  # what has passed, and what is left


def test_the_picture_shows_the_frontier_so_far(picture: LiveDisplay) -> None:
    for outcome in (COMPLETE, SMALLER):
        _end(picture, outcome)
    shown = _shown(picture)
    assert shown.index("80.00%") < shown.index("90.00%")


def test_a_trial_that_ended_no_longer_runs_and_its_failure_is_news(picture: LiveDisplay) -> None:
    _end(picture, FAILED)
    shown = _shown(picture)
    assert FAILED.failure
    assert naming("trial 0", FAILED.failure.kind, FAILED.failure.message).search(shown)
    assert picture.running == {}


def test_a_trial_is_shown_until_its_last_branch_has_ended(picture: LiveDisplay) -> None:
    for _ in range(2):
        number = picture.store.start_trial("digits", params=PARAMS, seed=0)
        picture.on_trial_start(number, PARAMS)
    picture.store.finish_trial("digits", 1, COMPLETE)
    picture.on_trial_end(1, PARAMS, COMPLETE)
    picture.on_trial_report(1, POINT)
    assert naming("1/4", "trial 1").search(_shown(picture, width=100))
    picture.on_trial_exit(1)
    assert not naming("trial 1").search(_shown(picture, width=100))


@pytest.mark.parametrize("width", [80, 100])
def test_the_picture_breaks_no_line_in_two(picture: LiveDisplay, width: int) -> None:
    for outcome in (COMPLETE, INFEASIBLE, FAILED):
        _end(picture, outcome)
    first, second, *_ = _shown(picture, width=width).splitlines()
    assert naming("2/4").search(first)
    assert len(DURATION.findall(first)) == 2
    assert naming("complete 1", "failed 1", "infeasible 1").search(second)
    assert "…" not in first + second


def test_plain_lines_tell_of_each_trial(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines(study)
    lines.on_trial_start(3, PRUNED)
    lines.on_trial_report(3, POINT)
    lines.on_trial_end(3, PRUNED, COMPLETE)
    lines.on_trial_end(4, PARAMS, INFEASIBLE)
    started, complete, infeasible = capsys.readouterr().out.splitlines()
    recipe = ("test_resnet", "labels", "magnitude 0.25", "float32")
    assert naming("trial 3", *recipe).search(started)
    assert naming("trial 3", "complete", "90.00%", "200 KB", "500 µs", *recipe).search(complete)
    assert naming("trial 4", "infeasible", INFEASIBLE.reason, "test_resnet").search(infeasible)


def test_a_note_stays_on_the_screen(
    picture: LiveDisplay, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    for callback in (picture, PlainLines(study)):
        callback.note("mirrored at random [bold]")
        assert "mirrored at random [bold]" in capsys.readouterr().out


def test_a_store_that_cannot_be_read_for_the_picture_ends_nothing(
    picture: LiveDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("it does not answer")

    _end(picture, SMALLER)
    with monkeypatch.context() as away:
        away.setattr(picture.store, "trials", fail)
        _end(picture, COMPLETE)
    shown = _shown(picture)
    assert naming("2/4", "80.00%").search(shown)
    assert "90.00%" not in shown
    _end(picture, INFEASIBLE)
    _end(picture, SMALLER)
    assert naming("80.00%", "90.00%").search(_shown(picture))  # what it missed is there again


def test_a_finalist_shows_its_place_and_its_epoch_of_all(picture: LiveDisplay) -> None:
    _end(picture, COMPLETE)
    params = {**PARAMS, "training": "standard", "training.standard.epochs": 40}
    purpose = Purpose(TrialKind.FINAL, repeats=0)
    number = picture.store.start_trial("digits", params=params, seed=0, purpose=purpose)
    picture.on_final_start(number, params, FinalPlace(2, 3))
    picture.on_trial_report(number, replace(POINT, epoch=16))
    shown = _shown(picture, width=140)
    assert "finalist 2 of 3, distil, epoch 17 of 40, accuracy 62.50%" in shown
    picture.store.finish_trial("digits", number, COMPLETE)
    picture.on_trial_end(number, params, COMPLETE)
    picture.on_trial_exit(number)
    shown = _shown(picture, width=140)
    assert "1/4 trained" in shown  # the search does not count it
    assert "finalists ended 1" in shown


def test_a_refit_shows_no_score_on_images_that_it_is_trained_on(
    picture: LiveDisplay, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    place = FinalPlace(1, 1, refits=7)
    picture.on_final_start(8, PARAMS, place)
    picture.on_trial_report(8, POINT)
    shown = _shown(picture, width=140)
    assert "refit of trial 7, distil, epoch 2" in shown
    assert "accuracy" not in shown
    PlainLines(study).on_final_start(8, {**PARAMS, "training": "a", "training.a.epochs": 9}, place)
    assert naming("trial 8", "9 epochs", "refit of trial 7").search(capsys.readouterr().out)
