"""The agent and who asks it, over the loopback."""

import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import psutil
import pytest
from onnx import TensorProto, helper, save

from search.errors import ArtifactError, TargetError
from search.targets import agent_client as client
from search.targets.agent_client import ask_agent, describe_agent
from search.targets.agent_package import packed_agent
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.agent_server import Agent
from search.targets.ssh import ask_over_ssh
from spaces.processor import processor_name
from tests.messages import naming
from tests.search.targets.conftest import TOKEN, address_of, limit


def test_an_agent_tells_what_its_machine_is(agent: Agent) -> None:
    machine = describe_agent(address_of(agent))
    assert machine.processor == processor_name()
    assert machine.runtime == f"onnxruntime {onnxruntime.__version__}"
    assert machine.cores == os.cpu_count()


def test_a_client_that_says_nothing_hinders_no_other(agent: Agent) -> None:
    with socket.create_connection(("127.0.0.1", agent.server_port)):
        assert describe_agent(address_of(agent)).cores == os.cpu_count()


def test_what_goes_wrong_on_the_board_is_told(
    agent: Agent, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(TargetError, match=naming(500, "FileNotFoundError", "/nowhere")):
        ask_agent(address_of(agent), model, threads=1)


def test_an_agent_measures_latency_and_memory_of_a_file(agent: Agent, model: Path) -> None:
    profile = ask_agent(address_of(agent), model, threads=1)
    assert 0 < profile.latency.median_ms <= profile.latency.p95_ms
    assert len(profile.latency.rounds_ms) >= 3
    assert 0 < profile.model_memory_bytes < profile.process_memory_bytes
    assert profile.threads == 1


@pytest.mark.parametrize("token", [None, "", "another token, long enough"])
def test_without_the_token_nothing_is_told_or_measured(
    token: str | None, agent: Agent, model: Path
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    for method, path, body in (("GET", "/", None), ("POST", "/measure", model.read_bytes())):
        connection = http.client.HTTPConnection("127.0.0.1", agent.server_port)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 401
        assert b"processor" not in answer.read()
        connection.close()


def test_a_wrong_token_is_said_and_not_shown(
    agent: Agent, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "sesame open, wrong one")
    with pytest.raises(TargetError, match=naming(401, "token")) as told:
        ask_agent(address_of(agent), model, threads=1)
    assert "sesame" not in str(told.value)


def test_a_token_that_is_not_set_is_asked_for(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(TargetError, match=naming("http://127.0.0.1:9", TOKEN_VARIABLE)) as caught:
        ask_agent("http://127.0.0.1:9", model, threads=1)
    assert "retort agent" not in str(caught.value)  # it may well be running


def test_an_agent_needs_a_long_token() -> None:
    with pytest.raises(ValueError, match=naming(TOKEN_VARIABLE, 16, 5)):
        Agent("127.0.0.1", 0, token="short")  # noqa: S106


@pytest.mark.parametrize("size_bytes", [100_001, 60_000_000])
def test_a_file_that_is_too_large_is_refused_unmeasured(
    size_bytes: int, agent: Agent, tmp_path: Path
) -> None:
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(size_bytes))
    with pytest.raises(TargetError, match=naming(413, 100_000, size_bytes, "--max-size")):
        ask_agent(address_of(agent), large, threads=1)


def test_what_is_no_onnx_file_is_told_and_the_agent_goes_on(
    agent: Agent, model: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"import os; os.abort()")
    with pytest.raises(ArtifactError, match=naming(address_of(agent), "ONNX")):
        ask_agent(address_of(agent), wrong, threads=1)
    assert ask_agent(address_of(agent), model, threads=1).latency.median_ms > 0


def test_a_file_that_takes_too_long_is_given_up(agent: Agent, model: Path) -> None:
    limit(agent, measuring_s=0.01)
    with pytest.raises(TargetError, match=naming(504, "0.01 s")):
        ask_agent(address_of(agent), model, threads=1)
    assert psutil.Process().children() == []


def test_a_runtime_that_the_agent_lacks_is_refused(agent: Agent, model: Path) -> None:
    with pytest.raises(TargetError, match=r"\(400\).*onnxruntime.*'probe'"):
        ask_agent(address_of(agent), model, threads=1, runtime="probe")
    with pytest.raises(TargetError, match=r"\(400\).*onnxruntime.*'probe'"):
        describe_agent(address_of(agent), "probe")


@pytest.mark.parametrize("threads", [0, 1000])
def test_an_odd_number_of_threads_is_refused(threads: int, agent: Agent, model: Path) -> None:
    with pytest.raises(TargetError, match=naming(400, "threads", 256)):
        ask_agent(address_of(agent), model, threads=threads)


def test_an_agent_that_does_not_answer_is_told_with_the_remedy(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setattr(client.time, "sleep", lambda _: None)
    with pytest.raises(TargetError, match=naming("http://127.0.0.1:9", "retort agent")):
        ask_agent("http://127.0.0.1:9", model, threads=1)


def test_the_packed_agent_runs_alone_from_any_folder(tmp_path: Path, model: Path) -> None:
    packed = tmp_path / "agent.pyz"
    packed.write_bytes(packed_agent())
    # Isolated (-I), and with no third party but ONNX Runtime's own needs.
    refuse = (
        "import sys\nfor name in ('torch', 'timm', 'pydantic', 'onnx'): sys.modules[name]=None\n"
    )
    code = (
        f"{refuse}sys.argv = ['agent', 'measure', {str(model)!r}]\n"
        f"import runpy; runpy.run_path({str(packed)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert '"median_ms"' in told.stdout


@pytest.mark.parametrize(
    "address",
    ["http://board", "ssh://", "ssh://-oProxyCommand=x", "ssh://board:huge", "ssh://[board"],
)
def test_an_address_that_ssh_might_misread_is_refused(address: str, model: Path) -> None:
    with pytest.raises(TargetError, match=naming(repr(address), "ssh://")):
        ask_over_ssh(address, model, threads=1)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("ssh://RPi4", ["--", "RPi4"]),
        ("ssh://pi@Board:2222", ["-p", "2222", "--", "pi@Board"]),
        ("ssh://pi@[fe80::1]:22", ["-p", "22", "--", "pi@fe80::1"]),
    ],
)
def test_a_machine_is_named_to_ssh_as_the_person_named_it(
    address: str, host: list[str], model: Path, as_ssh: Callable[[str], None], tmp_path: Path
) -> None:
    as_ssh(f'printf "%s\\n" "$@" > {tmp_path}/asked; exit 255')
    with pytest.raises(TargetError, match=naming(address, 255)):
        ask_over_ssh(address, model, threads=1)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[2 : 2 + len(host)] == host


def test_an_address_that_is_none_is_refused_at_once(agent: Agent, model: Path) -> None:
    with pytest.raises(TargetError, match=naming("http://host:port", "'http://board:huge'")):
        ask_agent("http://board:huge", model, threads=1)


def test_what_speaks_another_protocol_is_no_agent(
    agent: Agent, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            for _ in range(3):
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    connection.recv(1 << 16)

        greeting = threading.Thread(target=greet)
        greeting.start()
        address = f"http://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(TargetError, match=naming(address, "SSH-2.0-OpenSSH_9.2")):
            ask_agent(address, model, threads=1)
        greeting.join()


@pytest.mark.parametrize("token", ["sesame open, with a new line\n", "sesame open, geöffnet"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(TargetError, match=naming(TOKEN_VARIABLE, "ASCII")) as told:
        ask_agent("http://127.0.0.1:9", model, threads=1)
    assert "sesame" not in str(told.value)
    with pytest.raises(ValueError, match=naming(TOKEN_VARIABLE, "ASCII")) as told_by_agent:
        Agent("127.0.0.1", 0, token=token)
    assert "sesame" not in str(told_by_agent.value)


def test_a_file_that_can_be_loaded_but_not_run_is_told(agent: Agent, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Not", ["input"], ["logits"])],
        "of booleans",
        [helper.make_tensor_value_info("input", TensorProto.BOOL, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.BOOL, ["batch", 1, 8, 8])],
    )
    path = tmp_path / "booleans.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ArtifactError, match=naming(address_of(agent), "ONNX")):
        ask_agent(address_of(agent), path, threads=1)


def test_an_agent_without_onnx_runtime_ends_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None; sys.argv = ['agent', 'serve']\n"
        "from search.targets.agent import main; main()"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 1
    assert naming("ModuleNotFoundError", "onnxruntime").search(told.stderr)
    assert "Traceback" not in told.stderr
