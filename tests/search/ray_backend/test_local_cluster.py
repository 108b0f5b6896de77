"""The workers of a local Ray: they start before there are trials, and trials run in them."""

import os
import sys
import threading
from pathlib import Path

import psutil
import pytest
from ray import tune
from ray.cloudpickle import register_pickle_by_value

from search.config.study import RunSettings
from search.ray_backend.cluster import ray_of
from search.ray_backend.local_cluster import workers_starting
from search.ray_backend.searcher import inherited_environment

RUN = RunSettings(parallel=1, cpus=1)


class _Trial(tune.Trainable):
    """Says in which process it runs."""

    def step(self) -> dict[str, object]:
        return {"process": os.getpid(), "has_torch": "torch" in sys.modules, "done": True}


def workers() -> set[int]:
    titles = {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}
    return {process for process, title in titles.items() if title.startswith("ray::IDLE")}


@pytest.mark.ray
def test_a_trial_runs_in_a_worker_that_started_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of this machine")  # Tune would pass it on
    register_pickle_by_value(sys.modules[__name__])  # workers know nothing of these tests
    with workers_starting(RUN) as wait:
        wait()
        folder, started = Path(os.environ["RAY_TMPDIR"]), workers()
        assert len(started) == 1
        with workers_starting(RUN), ray_of(RUN), inherited_environment():
            (result,) = tune.Tuner(
                tune.with_resources(_Trial, {"cpu": 1}),
                run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
            ).fit()
    assert result.metrics is not None
    assert {result.metrics["process"]} == started
    assert result.metrics["has_torch"]
    assert not folder.exists()


@pytest.mark.ray
def test_what_fails_while_ray_starts_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), workers_starting(RUN):
        _ = 1 / 0
    assert "RAY_TMPDIR" not in os.environ
    assert not [one for one in threading.enumerate() if one.name == "ray"]
    assert not [one for one in psutil.Process().children(recursive=True) if "ray" in one.name()]


def test_for_an_existing_cluster_no_ray_is_started() -> None:
    with workers_starting(RunSettings(ray="10.0.0.1:6379")) as wait:
        wait()
        assert not [one for one in threading.enumerate() if one.name == "ray"]
