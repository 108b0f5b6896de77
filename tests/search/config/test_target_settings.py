"""`budget.target`: what serves, and where."""

import pytest

from search.config.loader import dump_study, study_from_dict
from search.config.study import Study
from search.errors import StudyFileError
from search.targets.registry import DEFAULT_RUNTIME

STUDY = {
    "study": "d",
    "data": {"source": "digits"},
    "teacher": {"model": "test_resnet", "train": {}},
    "space": {"student": {"timm": {"model": ["test_resnet"]}}},
}


def test_a_stored_study_without_a_runtime_has_the_one_that_there_was() -> None:
    study = Study.model_validate(STUDY)
    stored = dump_study(study)
    assert stored["budget"]["target"].pop("runtime") == DEFAULT_RUNTIME  # type: ignore[index]
    assert study_from_dict(stored).budget == study.budget


def test_an_unknown_runtime_is_refused_at_its_place_with_what_comes_near() -> None:
    with pytest.raises(StudyFileError, match=r"budget\.target\.runtime.*'onnxruntimes'.*") as told:
        study_from_dict(STUDY, ["budget.target.runtime=onnxruntimes"])
    assert f"did you mean {DEFAULT_RUNTIME!r}" in str(told.value)
