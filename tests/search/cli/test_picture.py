from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from search.cli.picture import draw_frontier
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.records import Outcome
from search.storage.storage import Store
from tests.search.cli.conftest import AddStudy
from tests.search.cli.made_outcomes import COMPLETE, FAILED, INFEASIBLE, SMALLER, WORSE


@pytest.mark.parametrize(
    "outcomes",
    [(), (COMPLETE,), (INFEASIBLE, FAILED), (COMPLETE, SMALLER, WORSE, INFEASIBLE, FAILED)],
    ids=["no trial", "one", "no student", "several"],
)
@pytest.mark.parametrize("size", [None, "300KB"])
def test_any_study_gives_a_picture(
    add_study: AddStudy, tmp_path: Path, outcomes: tuple[Outcome, ...], size: str | None
) -> None:
    add_study(*outcomes, size=size)
    with Store.open("sqlite:///retort.db", read_only=True) as store:
        study, trials = store.study("digits"), store.trials("digits")
    path = draw_frontier(trials, study, DEFAULT_GOAL, tmp_path / "new" / "frontier.png")
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (1430, 598))
    assert draw_frontier(trials, replace(study, teacher=None), DEFAULT_GOAL, path) == path


def test_there_is_a_plot_for_each_cost_that_is_minimised(
    add_study: AddStudy, tmp_path: Path
) -> None:
    add_study(COMPLETE, SMALLER)
    with Store.open("sqlite:///retort.db", read_only=True) as store:
        study, trials = store.study("digits"), store.trials("digits")
    goal = Goal.of("agreement", ["macs", "size", "parameters"])
    with Image.open(draw_frontier(trials, study, goal, tmp_path / "frontier.png")) as image:
        assert image.width == 3 * 715
