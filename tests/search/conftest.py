"""A real trial in a real store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import StudyRecord, TrialRecord, TrialState
from search.storage.storage import Store
from spaces.recipe import Recipe
from tests.conftest import SIZE

FinishedTrials = Callable[..., tuple[StudyRecord, TrialRecord]]


@pytest.fixture
def finished(
    context: StudyContext, recipe: Callable[..., Recipe], stripes_file: Path, tmp_path: Path
) -> Iterator[FinishedTrials]:
    """Runs a trial of the study `stripes` into `retort.db`; the study and the trial of it."""
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        data = {"source": "npz", "path": str(stripes_file), "image_size": SIZE, "flip": False}
        config = {"study": "stripes", "seed": 0, "data": data}
        store.create_study("stripes", config=config, artifacts=str(context.artifacts))

        def end(**methods: object) -> tuple[StudyRecord, TrialRecord]:
            chosen = recipe(**methods)
            number = store.start_trial("stripes", params=chosen.to_params(), seed=0)
            outcome = finish(run_trial(chosen, context, number=number, seed=0))
            assert outcome.state is TrialState.COMPLETE, outcome.failure
            store.finish_trial("stripes", number, outcome)
            return store.study("stripes"), store.trial("stripes", number)

        yield end
