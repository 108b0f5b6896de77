"""What the machine that stands for the target answers."""

import pytest
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from search.config.target_settings import TargetSettings
from search.errors import ArtifactError, TrialError
from search.targets import ray_node as timing
from tests.messages import naming

TARGET = TargetSettings(resource="board")


def _failing(monkeypatch: pytest.MonkeyPatch, error: RayError) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ray, "get", fail)


def test_a_file_that_its_runtime_cannot_load_is_no_target_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cause = ArtifactError("model.onnx can't be loaded: opset 21")
    error = RayTaskError("_timed", "a traceback", cause).as_instanceof_cause()
    _failing(monkeypatch, error)
    with pytest.raises(ArtifactError, match=naming("model.onnx", "opset 21")):
        timing._asked(None, TARGET)  # type: ignore[arg-type]


def test_a_target_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, GetTimeoutError("600 s"))
    with pytest.raises(TrialError, match=naming("board", "600 s")) as caught:
        timing._asked(None, TARGET)  # type: ignore[arg-type]
    assert caught.value.kind == "target_lost"
