"""Who asks the agent without the token, slowly, too often or for too much: over real sockets."""

import gc
import re
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from search.errors import ArtifactError
from search.targets import agent_client as client
from search.targets.agent_client import ask_agent, describe_agent
from search.targets.agent_package import packed_agent
from search.targets.agent_server import Agent
from tests.messages import naming
from tests.search.targets.conftest import TOKEN, address_of, limit

BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()
POST = b"POST /measure HTTP/1.1\r\n"


def _connect(agent: Agent) -> socket.socket:
    return socket.create_connection(("127.0.0.1", agent.server_port), timeout=300)


def _said(connection: socket.socket) -> bytes:
    """All that is answered until the other side ends."""
    said = b""
    while piece := connection.recv(1 << 16):
        said += piece
    return said


def _answer(agent: Agent, sent: bytes) -> bytes:
    with _connect(agent) as connection:
        connection.sendall(sent)
        return _said(connection)


def _dripped(agent: Agent, head: bytes, drop: bytes) -> bytes:
    """What is answered to a client that goes on and on, with never a long silence."""
    with _connect(agent) as connection:
        connection.sendall(head)
        connection.settimeout(0.02)
        for _ in range(500):
            connection.sendall(drop)
            try:
                return connection.recv(1 << 16)
            except TimeoutError:
                continue
    raise AssertionError("it waits for ever")


def test_fault_34_a_hundred_idle_connections_keep_nobody_waiting(agent: Agent) -> None:
    idle = [_connect(agent) for _ in range(100)]
    try:
        assert describe_agent(address_of(agent)).cores
        assert idle[0].recv(1) == b""  # the oldest is dropped
    finally:
        for connection in idle:
            connection.close()


def test_fault_34_who_is_just_being_let_in_is_closed_where_the_agent_ends() -> None:
    for _ in range(5):
        with Agent("127.0.0.1", 0, token=TOKEN) as agent:
            serving = threading.Thread(target=agent.serve_forever)
            serving.start()
            flood = [_connect(agent) for _ in range(60)]
            agent.shutdown()
            serving.join()
        for connection in flood:
            connection.close()
    gc.collect()  # what was left open warns now, which is an error


def test_fault_34_a_flood_from_one_address_does_not_push_out_another(agent: Agent) -> None:
    limit(agent, connections=4)
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.connect(("127.0.0.1", agent.server_port))
        flood = [_connect(agent) for _ in range(20)]
        other.sendall(b"GET / HTTP/1.1\r\n" + BEARER + b"\r\n")
        assert b" 200 OK" in _said(other)
        for connection in flood:
            connection.close()


def test_fault_34_all_of_a_head_has_one_deadline(agent: Agent) -> None:
    limit(agent, head_s=0.2)
    assert b" 408 " in _dripped(agent, b"GET / HTTP/1.1\r\n", b"X-Slow: yes\r\n")


def test_fault_34_a_body_must_come_at_some_speed(agent: Agent) -> None:
    limit(agent, head_s=0.2, bytes_per_s=1_000_000)
    head = POST + BEARER + b"Content-Length: 100000\r\n\r\n"
    assert b" 408 " in _dripped(agent, head, b"x")


@pytest.mark.parametrize(("places", "length"), [(2, 10), (10, 40_000)])
def test_fault_34_so_many_bodies_are_taken_at_once_and_no_more(
    places: int, length: int, agent: Agent
) -> None:
    limit(agent, places=places)
    head = POST + BEARER + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
    with _connect(agent) as first, _connect(agent) as second, _connect(agent) as third:
        for taken in (first, second):
            taken.sendall(head)
            assert b" 100 Continue" in taken.recv(100)
        third.sendall(head)
        third.shutdown(socket.SHUT_WR)
        refused = _said(third)
    assert b" 503 " in refused
    assert b"\r\nRetry-After: 5\r\n" in refused


def test_fault_34_a_client_that_finds_no_place_comes_again(
    agent: Agent, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(agent, places=1)
    waited: list[float] = []
    with _connect(agent) as first:
        first.sendall(POST + BEARER + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert b" 100 Continue" in first.recv(100)

        def leave(seconds: float) -> None:
            waited.append(seconds)
            first.sendall(b"wrong")
            assert b" 422 " in _said(first)

        monkeypatch.setattr(client.time, "sleep", leave)
        assert ask_agent(address_of(agent), model, threads=1).latency.median_ms > 0
    assert waited == [5]


def test_fault_34_neither_side_holds_a_file_in_memory(agent: Agent, tmp_path: Path) -> None:
    limit(agent, file_bytes=10**8)
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(3 * 10**7))
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError, match=naming(address_of(agent))):
            ask_agent(address_of(agent), large, threads=1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5 * 10**6


def _save_expanding(path: Path, floats: int) -> None:
    """A file of some 200 bytes that makes a tensor of so many numbers."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["logits"], keepdims=1),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])
    made = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])
    shape = numpy_helper.from_array(np.array([floats]), "shape")
    graph = helper.make_graph(nodes, "expanding", [given], [made], [shape])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_fault_34_a_file_that_makes_3_gb_is_refused_and_the_next_one_served(
    agent: Agent, model: Path, tmp_path: Path
) -> None:
    limit(agent, memory_bytes=400_000_000)
    large = tmp_path / "large.onnx"
    _save_expanding(large, 750_000_000)
    with pytest.raises(ArtifactError, match=naming("400 MB", "--max-memory")):
        ask_agent(address_of(agent), large, threads=1)
    assert ask_agent(address_of(agent), model, threads=1).latency.median_ms > 0


def test_fault_34_threads_whose_stacks_do_not_fit_are_refused(agent: Agent, model: Path) -> None:
    limit(agent, memory_bytes=200_000_000)
    with pytest.raises(ArtifactError, match=naming("threads=256", "200 MB")):
        ask_agent(address_of(agent), model, threads=256)


ODD = {
    "no version": (b"GET /\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100f8010000f40303") + bytes(range(64)), 400),
    "no path": (b"GET http://[::1/ HTTP/1.1\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
    "line of 20 kB": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
    "header of 20 kB": (b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", 431),
    "101 headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    "other method": (b"BREW / HTTP/1.1\r\n" + BEARER + b"\r\n", 404),
    "no length": (POST + BEARER + b"\r\n", 411),
    "chunks": (POST + BEARER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "chunks and a length": (
        POST + BEARER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        411,
    ),
    "two lengths": (POST + BEARER + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    "large": (POST + BEARER + b"Content-Length: 100001\r\n\r\n", 413),
} | {
    name: (POST + BEARER + b"Content-Length: " + given + b"\r\n\r\n", 400)
    for name, given in {
        "5,000 digits": b"9" * 5000,
        "negative": b"-5",
        "sign": b"+5",
        "superscript": b"\xb2",
        "list": b"5, 5",
        "hexadecimal": b"0x5",
    }.items()
}


@pytest.mark.parametrize(("sent", "status"), ODD.values(), ids=ODD)
def test_fault_34_odd_requests_are_answered_and_trouble_nobody(
    sent: bytes, status: int, agent: Agent, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _answer(agent, sent).startswith(b"HTTP/1.1 %d " % status)
    assert describe_agent(address_of(agent)).cores
    told = capfd.readouterr().err
    assert f" {status} " in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "header",
    [
        f"Authorization: {TOKEN}",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: Bearer {TOKEN} {TOKEN}",
        f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}",
        f"Proxy-Authorization: Bearer {TOKEN}",
        "Authorization: Bearer \xe9\xff",
    ],
)
def test_a_token_is_borne_once_by_its_scheme(header: str, agent: Agent) -> None:
    assert b" 401 " in _answer(agent, f"GET / HTTP/1.1\r\n{header}\r\n\r\n".encode("latin-1"))


def test_the_token_is_asked_for_before_any_of_the_body(agent: Agent) -> None:
    with _connect(agent) as connection:
        connection.sendall(POST + b"Content-Length: 90000\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_one_request_is_answered_of_several(agent: Agent) -> None:
    said = _answer(agent, (b"GET / HTTP/1.1\r\n" + BEARER + b"\r\n") * 3)
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("line", [b"GET /\x1b]0;owned\x07 HTTP/1.1", b"\x9b31m\x1b[2J"])
def test_fault_35_a_request_line_reaches_no_terminal_as_it_is(
    line: bytes, agent: Agent, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = _answer(agent, line + b"\r\n\r\n")
    told = capfd.readouterr().err
    assert r"\x1b" in told
    assert told.rstrip("\n").isprintable()
    assert b"\x1b" not in answer


def test_a_packed_agent_that_is_ended_says_nothing_more(
    agent: Agent, tmp_path: Path, model: Path
) -> None:
    packed = tmp_path / "agent.pyz"
    packed.write_bytes(packed_agent())
    command = [sys.executable, "-I", str(packed), "serve", "--port", "0", "--max-memory", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as board:
        assert board.stderr
        found = re.search(r"(http://127\.0\.0\.1:(\d+))", board.stderr.readline())
        assert found
        with pytest.raises(ArtifactError, match=naming("0 MB")):
            ask_agent(found[1], model, threads=1)
        with socket.create_connection(("127.0.0.1", int(found[2]))):
            board.send_signal(signal.SIGTERM)
            assert board.wait(300) == 0
        assert len(board.stderr.read().splitlines()) == 1  # of the one request
