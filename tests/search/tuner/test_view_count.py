"""How many views there are: what the study states, the epochs, and the teacher's time."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from search.config.study import Study
from search.data.dataset import Dataset
from search.pipeline.view_numbers import LEAST_VIEWS, repetition_warning, stated_views, views_within
from search.teachers.prepared import Teacher
from search.tuner import view_count
from search.tuner.view_count import count_final_views, count_views
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from spaces.training.standard import Standard
from tests.messages import naming


def _study(data: Path, *, views: object = "auto", epochs: object = 12, **more: object) -> Study:
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": data, "image_size": 32},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {"standard": {"epochs": epochs, "batch_size": 16}},
                "distillation": more.pop("methods", ["soft_targets", "labels"]),
            },
            "search": {"views": views, "trials": 2, **more},
        }
    )


class _Slow(nn.Module):
    """A teacher that takes a tenth of a second for each batch."""

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(0.1)
        return torch.zeros(len(images), 3)


SLOW = Teacher("slow", _Slow(), "slow", "cpu")


@pytest.mark.parametrize(
    ("views", "epochs", "count"),
    [
        *((7, 12, 7), ("live", 12, None), ("auto", 12, 12)),
        ("auto", {"low": 4, "high": 30, "log": True}, 30),
        ("auto", [3, 9, 5], 9),
    ],
)
def test_a_study_states_its_views(
    views: object, epochs: object, count: int | None, stripes_file: Path
) -> None:
    assert stated_views(_study(stripes_file, views=views, epochs=epochs)) == count


def test_the_teachers_share_of_the_time_limits_the_views(stripes_file: Path) -> None:
    study = _study(stripes_file, epochs=50, teacher_share=0.2)
    assert views_within(study, view_s=1.0, search_s=100.0) == 20
    assert views_within(study, view_s=1.0, search_s=10_000.0) == 50
    assert views_within(study, view_s=1.0, search_s=1.0) == LEAST_VIEWS
    stated = _study(stripes_file, views=30, epochs=50)
    assert views_within(stated, view_s=1.0, search_s=1.0) == 30


def test_a_slow_teacher_answers_for_fewer_views_and_this_is_told(
    stripes: Dataset, stripes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_count, "_NEGLIGIBLE_S", 0.0)
    told: list[str] = []
    study = _study(stripes_file, epochs=400, teacher_share=1e-6)
    assert count_views(study, SLOW, stripes, log=told.append) == LEAST_VIEWS
    assert naming(LEAST_VIEWS, 400, "search.teacher_share").search(told[0])


def test_a_time_that_decides_is_measured_when_the_workers_have_started(
    stripes: Dataset, stripes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    study = _study(stripes_file, epochs=400, teacher_share=1e-6)

    def count() -> int | None:
        return count_views(study, SLOW, stripes, log=waited.append, quiet=lambda: waited.append(""))

    monkeypatch.setattr(view_count, "_NEGLIGIBLE_S", 1e6)
    assert (count(), waited) == (400, [])
    monkeypatch.setattr(view_count, "_NEGLIGIBLE_S", 0.0)
    assert count() == LEAST_VIEWS
    assert waited[0] == ""


def test_a_quick_teacher_answers_for_every_epoch(stripes: Dataset, stripes_file: Path) -> None:
    assert count_views(_study(stripes_file, epochs=40), SLOW, stripes, log=pytest.fail) == 40


def test_without_a_method_that_needs_logits_the_teacher_is_not_timed(
    stripes: Dataset, stripes_file: Path
) -> None:
    study = _study(stripes_file, methods=["labels"])
    refusing = Teacher("none", nn.Linear(1, 1), "none", "cpu")
    assert count_views(study, refusing, stripes, log=pytest.fail) == 12


def test_many_epochs_of_each_view_are_warned_of(stripes_file: Path) -> None:
    study = _study(stripes_file, epochs=300)
    assert naming(4, "75 epochs", "search.views").search(repetition_warning(study, 4) or "")
    assert repetition_warning(study, 100) is None
    assert repetition_warning(study, None) is None
    assert repetition_warning(_study(stripes_file, epochs=300, methods=["labels"]), 4) is None


def test_finalists_see_all_views_of_the_search_and_more_as_their_time_allows(
    stripes: Dataset, stripes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_count, "_NEGLIGIBLE_S", 0.0)
    study, told = _study(stripes_file, teacher_share=1e-6), list[str]()

    def count(epochs: int, method: str) -> int:
        recipe = Recipe.from_params(
            {
                "student": "timm", "training": "standard", "training.standard.epochs": epochs,
                "distillation": method, "pruning": "none", "quantization": "float32",
            }
        )  # fmt: skip
        return count_final_views(study, [recipe], SLOW, stripes, known=12, log=told.append)

    assert count(12, "soft_targets") == 12
    assert count(60, "labels") == 12
    assert not told
    assert count(60, "soft_targets") == 12 + LEAST_VIEWS
    assert naming(12 + LEAST_VIEWS, 60, "search.teacher_share").search(told[0])


def test_finalists_that_repeat_their_views_are_warned_of(stripes_file: Path) -> None:
    study = _study(stripes_file, epochs=8)
    assert repetition_warning(study, 4) is None
    told = repetition_warning(study, 4, epochs=40, whose="finalists")
    assert naming("finalists", 4, "10 epochs").search(told or "")


def test_a_training_without_a_parameter_for_epochs_has_its_own_number(
    stripes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SearchSpace({**_study(stripes_file).search_space().axes, "training": {"standard": {}}})
    monkeypatch.setattr(Study, "search_space", lambda study: space)
    assert stated_views(_study(stripes_file)) == Standard().epochs
