"""An agent on the loopback, and a file for it."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from search.targets.agent_client import describe_agent
from search.targets.agent_limits import AgentLimits
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.agent_server import Agent

TOKEN = "a token of a test, long enough"  # noqa: S105


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file that takes images of [1, 8, 8]."""
    weights = numpy_helper.from_array(np.ones((64, 3), np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [weights],
    )
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """An agent that takes files up to 100 kB; its token is in the environment."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    describe_agent.cache_clear()
    with Agent("127.0.0.1", 0, token=TOKEN, limits=AgentLimits(file_bytes=100_000)) as agent:
        thread = threading.Thread(target=agent.serve_forever)
        thread.start()
        yield agent
        agent.shutdown()
        thread.join()


def address_of(agent: Agent) -> str:
    return f"http://127.0.0.1:{agent.server_port}"


def limit(agent: Agent, **changed: float) -> None:
    """Changes limits of an agent, for the requests that come from now on."""
    agent.limits = replace(agent.limits, **changed)  # type: ignore[arg-type]


@pytest.fixture
def as_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a shell script the `ssh` that is found, for what no real one does at will."""

    def become(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return become
