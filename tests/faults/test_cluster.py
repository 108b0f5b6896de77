"""Several machines: three raylets on one, a real PostgreSQL, one node lost in mid-run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.records import TrialState
from search.storage.storage import Store
from tests.faults.conftest import ROOT, Start, WriteStudy, slow_training

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(2400)]

# A head without cores, and two machines with one each; `lose` on its input ends the second.
CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1, resources={name: 1}) for name in ("first", "second")]
cluster.wait_for_nodes()
print(json.dumps(cluster.address), flush=True)
for line in sys.stdin:
    if line.strip() == "lose":
        cluster.remove_node(nodes[1], allow_graceful=False)
        print("lost", flush=True)
    else:
        break
cluster.shutdown()
"""


class Cluster:
    """Three raylets in a process of their own."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        self.address: str = json.loads(self._answer())

    def lose_second(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        assert self._answer() == "lost\n"

    def end(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(600)
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.end()


@pytest.mark.postgres
def test_fault_03_a_lost_node_costs_no_trial_and_the_frontier_is_the_same(
    cluster: Cluster,
    write_study: WriteStudy,
    start: Start,
    new_postgresql: Callable[[], str],
    home: Path,
) -> None:
    storage = new_postgresql()
    settings = {"ray": cluster.address, "storage": storage, "parallel": 2, "retries": 2}
    search = {"trials": 4, "stopping": False}
    outcomes = {}
    for name in ("whole", "lost"):
        file = write_study(space=slow_training(40), search=search, run=settings)
        # A cache of its own: the second study must not take over what the first has trained.
        run = start("run", str(file), f"study={name}", f"run.cache={home / name}")
        if name == "lost":
            run.wait_for("trial 1 started")
            time.sleep(1)
            cluster.lose_second()
        assert run.wait() == 0, run.output
        with Store.open(storage, read_only=True) as store:
            trials = store.trials(name)
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
        outcomes[name] = {
            json.dumps(dict(trial.params), sort_keys=True): trial.outcome.quality
            for trial in trials
            if trial.outcome
        }
        assert len(outcomes[name]) == 4
        # Two at a time on two machines of one core: the lost one had a trial.
        assert (sum(trial.attempts for trial in trials) > 4) == (name == "lost")
    assert outcomes["lost"] == outcomes["whole"]


@pytest.mark.parametrize("token", [None, "another-token-that-is-wrong"], ids=["none", "wrong"])
def test_fault_29_a_ray_that_asks_for_a_token_is_answered_with_the_remedy(
    write_study: WriteStudy, start: Start, token: str | None
) -> None:
    cluster = Cluster(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a-token-of-these-tests")  # noqa: S106
    try:
        given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
        run = start("run", str(write_study(run={"ray": cluster.address})), **given)
        assert run.wait() == 1, run.output
        assert "RAY_AUTH_TOKEN" in run.output
        assert "Traceback" not in run.output
    finally:
        cluster.end()


def test_latency_is_measured_by_the_machine_that_stands_for_the_target(
    cluster: Cluster, write_study: WriteStudy, start: Start, home: Path
) -> None:
    settings = {"ray": cluster.address, "parallel": 1}
    budget = {"latency": "1s", "target": {"resource": "first"}}
    run = start("run", str(write_study(search={"trials": 1}, run=settings, budget=budget)))
    assert run.wait() == 0, run.output
    with Store.open(f"sqlite:///{home / 'retort.db'}", read_only=True) as store:
        (trial,) = store.trials("stripes")
    assert trial.outcome
    assert trial.outcome.hardware["resource"] == "first"
    assert trial.outcome.cost
    assert trial.outcome.cost["latency_ms"]
    other = write_study(run=settings, budget={"target": {"resource": "third"}})
    none = start("run", str(other), "study=other")
    assert none.wait() == 1
    assert "the resource third" in none.output
