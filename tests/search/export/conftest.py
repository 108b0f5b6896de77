"""Students with all that a search finds out about them, ready to be exported."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from search.evaluation.measure import predictions, quality
from search.evaluation.onnx_metadata import described
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, keep_test, write_predictions
from search.files.atomic import written_whole
from search.files.filestore import FolderStore
from search.objectives.counting import count_cost
from search.objectives.predictions import Predictions
from search.pipeline.study_context import StudyContext
from search.records import StudyRecord, TeacherRecord, TrialRecord
from search.storage.artifact_owner import Claim
from search.storage.storage import Store
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import SERVED, OnnxRuntime, Session
from search.targets.timing import time_cost
from tests.search.conftest import FinishedTrials

Taught = Callable[[StudyContext], tuple[TeacherRecord, Predictions]]
Tested = Callable[..., tuple[StudyRecord, TrialRecord]]


def _predicted(folder: Path, context: StudyContext, part: str) -> Predictions:
    session = Session(folder / SERVED, threads=1)
    return predictions(session, getattr(context.dataset, part), context.dataset)


@pytest.fixture(scope="session")
def taught_once(schooled: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Writes a teacher into the artifacts of a context; its record, and what it says of tests."""
    known: dict[int, tuple[StudyContext, TeacherRecord, Predictions]] = {}

    def teach(context: StudyContext) -> tuple[TeacherRecord, Predictions]:
        if id(context.dataset) not in known:
            artifacts = FolderStore.of(tmp_path_factory.mktemp("teacher"))
            first = replace(context, claim=Claim(artifacts, hold=""))
            known[id(context.dataset)] = first, *_teach(first, schooled)
        first, record, test = known[id(context.dataset)]
        shutil.copytree(first.artifacts.folder, context.artifacts.folder, dirs_exist_ok=True)
        return record, test

    return teach


def _teach(context: StudyContext, schooled: nn.Module) -> tuple[TeacherRecord, Predictions]:
    with written_whole(context.artifacts.folder / TEACHER) as folder:
        export_onnx(schooled, folder / SERVED, image_shape=context.requirements.image_shape)
        OnnxRuntime().annotate(folder / SERVED, described(context.dataset.info))
        found = _predicted(folder, context, "validation")
        write_predictions(folder / PREDICTIONS, {"validation": found})
        cost = count_cost(schooled, folder / SERVED, context.requirements.image_shape)
        cost = time_cost(cost, folder / SERVED, context.requirements.target)
    test = _predicted(context.artifacts.folder / TEACHER, context, "test")
    keep_test(context.artifacts.writing, TEACHER, test)
    record = TeacherRecord(
        name="schooled",
        digest="ab" * 32,
        quality=quality(found, teacher=found.classes),
        cost=cost,
        test=quality(test, teacher=test.classes),
    )
    return record, test


@pytest.fixture
def tested(
    finished: FinishedTrials, context: StudyContext, taught_once: Taught, tmp_path: Path
) -> Tested:
    """Runs a trial, and tests its student and a teacher as a search does at its end."""

    def end(**methods: object) -> tuple[StudyRecord, TrialRecord]:
        study, trial = finished(**methods)
        assert trial.outcome
        assert trial.outcome.artifact
        teacher, taught = taught_once(context)
        name = trial.outcome.artifact.path
        found = _predicted(context.artifacts.folder / name, context, "test")
        keep_test(context.artifacts.writing, name, found)
        with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
            store.record_teacher(study.name, teacher)
            store.record_test(study.name, trial.number, quality(found, teacher=taught.classes))
            return store.study(study.name), store.trial(study.name, trial.number)

    return end
