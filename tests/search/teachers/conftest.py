from pathlib import Path

import pytest

from search.data.dataset import Dataset
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.setting import TeacherContext


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def room(stripes: Dataset, tmp_path: Path, said: list[str]) -> TeacherContext:
    return TeacherContext(
        dataset=stripes,
        cache=FolderStore.of(tmp_path / "cache"),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=False,
        progress=said.append,
    )
