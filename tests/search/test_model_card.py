"""The model card says what was measured, and its example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from search.artifacts import SERVED
from search.data.dataset import normalize
from search.export import export_student
from search.model_card import wilson_interval
from search.runtime import Session
from search.task import Task
from spaces.pruning.magnitude import Magnitude
from tests.search.conftest import Finished

_REFUSE_TORCH = "import sys; sys.modules['torch'] = None\n"


def _card(folder: Path) -> str:
    return (folder / "README.md").read_text()


def test_the_example_runs_without_torch_and_names_the_class_the_file_predicts(
    finished: Finished, task: Task, tmp_path: Path
) -> None:
    folder = export_student(*finished(), tmp_path / "student")
    example = re.search(r"```python\n(.*?)```", _card(folder), re.DOTALL)
    assert example
    (image,) = next(task.dataset.test.batches(1)).images
    Image.fromarray(image[0].numpy()).save(folder / "image.png")
    command = [sys.executable, "-c", _REFUSE_TORCH + example[1]]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    info = task.dataset.info
    session = Session(folder / SERVED, threads=1)
    (logits,) = session.predict(normalize(image[None], info.mean, info.std).numpy())
    assert told.stdout.strip() == info.classes[int(logits.argmax())]


def test_the_head_is_yaml_that_the_hub_reads(finished: Finished, tmp_path: Path) -> None:
    card = _card(export_student(*finished(), tmp_path / "student"))
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "image-classification"
    assert body.strip().startswith("# stripes, trial 0")


def test_timm_is_named_only_where_it_can_load_the_student(
    finished: Finished, tmp_path: Path
) -> None:
    pruned = finished(pruning=Magnitude(ratio=0.4, recovery=0.5))
    assert "timm.create_model" not in _card(export_student(*pruned, tmp_path / "pruned"))
    assert "timm.create_model" in _card(export_student(*finished(), tmp_path / "whole"))


def test_the_interval_is_wilsons() -> None:
    # 8 of 10: the center is 0.7167, the spread 0.2266.
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_interval_of_all_or_none_ends_there_but_is_not_empty(share: float) -> None:
    low, high = wilson_interval(share, 20)
    assert share == pytest.approx(high if share else low)
    assert high - low == pytest.approx(0.1611, abs=1e-4)
