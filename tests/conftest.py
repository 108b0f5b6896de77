"""A small task that can be learned in a second, what is made of it, and databases of both kinds.

SQLite files, and one PostgreSQL server a session where its binaries are.
"""

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models import _registry as timm_registry
from torch import nn

from search.config.data_settings import DataSettings
from search.config.student_spec import StudentRequirements
from search.config.target_settings import TargetSettings
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.data.views.augmentation import Augmentation
from search.data.views.view import Views
from search.evaluation.onnx_metadata import metadata_bytes
from search.files.filestore import FolderStore
from search.objectives.budget import Budget
from search.objectives.metrics import ACCURACY
from search.pipeline.lineage import Lineage
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.storage.artifact_owner import Claim
from search.storage.storage import Store
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from spaces.distillation.labels import Labels
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.postgresql import PostgresqlServer
from tests.short_rounds import short_rounds

CLASSES = 3
SIZE = 32


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def rounds_of_users() -> Iterator[tuple[float, float]]:
    """Seconds of a latency's warm-up and round; in tests, both end after five runs."""
    with short_rounds() as lasting:
        yield lasting


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test registers with timm is forgotten at its end: other tests list all models."""
    for name in ("_model_entrypoints", "_module_to_models", "_model_to_module"):
        monkeypatch.setattr(timm_registry, name, deepcopy(getattr(timm_registry, name)))


@pytest.fixture(scope="session")
def stripes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey images of stripes that lie, stand or slant, in noise: 240 of three classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(240) % CLASSES
    rows, columns = np.mgrid[:SIZE, :SIZE]
    along = np.stack([rows, columns, rows + columns])[labels]
    phase = generator.uniform(0, 2 * np.pi, (len(labels), 1, 1))
    images = 128 + 60 * np.sin(along + phase) + generator.normal(0, 25, along.shape)
    path = tmp_path_factory.mktemp("stripes") / "stripes.npz"
    np.savez(path, images=images.clip(0, 255).astype(np.uint8), labels=labels)
    return path


@pytest.fixture(scope="session")
def stripes(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The stripes, prepared: [1, 32, 32], shifted by views but not mirrored."""
    settings = DataSettings(source="npz", path=stripes_file, image_size=SIZE, flip=False)
    return prepare(settings, seed=0, cache=FolderStore.of(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def views() -> Views:
    return Views(seed=0, augmentation=Augmentation(shift=0.1), count=2)


@pytest.fixture(scope="session")
def schooled(stripes: Dataset, views: Views) -> nn.Module:
    """A test_resnet that knows the stripes; tests must not change it."""
    torch.manual_seed(0)
    network = Timm(model="test_resnet").build(classes=CLASSES, channels=1, image_size=SIZE)
    plan = TrainingPlan(
        stage="distil",
        training=Standard(epochs=3, batch_size=16),
        distillation=Labels(),
        epochs=3,
        validation=Validation(ACCURACY, stripes.validation.labels),
        views=views,
        targets=None,
        seed=0,
    )
    for _ in train(network, stripes, plan):
        pass
    return network.eval()


@pytest.fixture
def context(stripes: Dataset, views: Views, tmp_path: Path) -> StudyContext:
    """A task without a budget, whose teacher takes every image for the first class."""
    return task_in(tmp_path, stripes, views)


def task_in(folder: Path, stripes: Dataset, views: Views) -> StudyContext:
    """The same, with its artifacts in a folder."""
    return StudyContext(
        requirements=StudentRequirements(
            classes=CLASSES,
            channels=1,
            image_size=SIZE,
            budget=Budget(),
            target=TargetSettings(),
            metadata_bytes=metadata_bytes(stripes.info),
        ),
        metric=ACCURACY,
        dataset=stripes,
        views=views,
        targets=None,
        teachers=tuple,
        teacher_classes=np.zeros(len(stripes.validation), np.int64),
        device="cpu",
        claim=Claim(FolderStore.of(folder / "artifacts"), hold=""),
        origin={"study": "stripes"},
        lineage=Lineage(
            data="stripes",
            views=views,
            teacher="constant",
            device="cpu",
            metric=ACCURACY.name,
        ),
        stages=StageCache(folder / "stages", limit_bytes=10**9),
    )


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    """Gives a recipe of one quick epoch on labels, with the choices that are named instead."""
    plain = Recipe(
        student=Timm(),
        training=Standard(epochs=1, batch_size=16, warmup_epochs=0),
        distillation=Labels(),
        pruning=NoPruning(),
        quantization=Float32(),
    )
    return lambda **choices: replace(plain, **choices)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A server started for these tests; they must leave it running."""
    server = PostgresqlServer()
    yield server
    server.remove()


@pytest.fixture
def new_postgresql(postgresql: PostgresqlServer) -> Callable[[], str]:
    """Gives the URL of a new, empty PostgreSQL database."""
    return postgresql.create_database


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'retort.db'}"
    create: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return create()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and nothing in them, to be copied: migrations take a while."""
    path = tmp_path_factory.mktemp("empty") / "retort.db"
    with Store.open(f"sqlite:///{path}"):
        return path


@pytest.fixture
def store(store_url: str, empty_database: Path) -> Iterator[Store]:
    """An open store with one study, `digits`."""
    if store_url.startswith("sqlite:///"):
        shutil.copyfile(empty_database, store_url.removeprefix("sqlite:///"))
    with Store.open(store_url) as store:
        store.create_study("digits", config={"seed": 1}, artifacts="artifacts")
        yield store
