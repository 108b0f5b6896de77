"""A real trial in a real store."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.files.filestore import FolderStore
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import Outcome, StudyRecord, TrialRecord, TrialState
from search.storage.artifact_owner import Claim
from search.storage.storage import Store
from spaces.recipe import Recipe
from tests.conftest import SIZE

FinishedTrials = Callable[..., tuple[StudyRecord, TrialRecord]]
RunTrial = Callable[[Recipe, StudyContext, int], Outcome]


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> RunTrial:
    """Runs a trial into the artifacts of a context; an equal one is run once and then copied."""
    known: dict[object, tuple[StudyContext, Outcome]] = {}

    def run(chosen: Recipe, context: StudyContext, number: int) -> Outcome:
        key = (chosen.digest(), number, id(context.dataset))
        if key not in known:
            folder = tmp_path_factory.mktemp("trial")
            first = replace(
                context,
                claim=Claim(FolderStore.of(folder / "artifacts"), hold=""),
                stages=StageCache(folder / "stages", limit_bytes=10**9),
            )
            known[key] = first, finish(run_trial(chosen, first, number=number, seed=0))
        first, outcome = known[key]
        assert outcome.state is TrialState.COMPLETE, outcome.failure
        shutil.copytree(first.artifacts.folder, context.artifacts.folder, dirs_exist_ok=True)
        return outcome

    return run


@pytest.fixture
def finished(
    context: StudyContext,
    recipe: Callable[..., Recipe],
    run_once: RunTrial,
    stripes_file: Path,
    empty_database: Path,
    tmp_path: Path,
) -> Iterator[FinishedTrials]:
    """Stores a trial of the study `stripes` in `retort.db`; the study and the trial of it."""
    with Store.open(
        f"sqlite:///{shutil.copyfile(empty_database, tmp_path / 'retort.db')}"
    ) as store:
        data = {"source": "npz", "path": str(stripes_file), "image_size": SIZE, "flip": False}
        config = {"study": "stripes", "seed": 0, "data": data}
        store.create_study("stripes", config=config, artifacts=str(context.artifacts))

        def end(**methods: object) -> tuple[StudyRecord, TrialRecord]:
            chosen = recipe(**methods)
            number = store.start_trial("stripes", params=chosen.to_params(), seed=0)
            store.finish_trial("stripes", number, run_once(chosen, context, number))
            return store.study("stripes"), store.trial("stripes", number)

        yield end
