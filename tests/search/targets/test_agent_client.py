"""Who asks an agent, and what is no agent: nothing that answers is believed or waited for."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from search.errors import ArtifactError, TargetError
from search.targets import agent_client as client
from search.targets.agent_client import ask_agent, describe_agent
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.ssh import ask_over_ssh
from tests.messages import naming
from tests.search.targets.conftest import TOKEN

Foreign = Callable[..., str]

FOUND = {
    "processor": "P", "runtime": "onnxruntime 1.0", "cores": 1, "threads": 1, "median_ms": 1.0,
    "p95_ms": 1.0, "rounds_ms": [1.0], "model_memory_bytes": 1, "process_memory_bytes": 1,
}  # fmt: skip


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    """Starts a server that answers once, with what it is given; gives its address.

    `drop` follows until the client has gone.
    """
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    describe_agent.cache_clear()
    threads: list[threading.Thread] = []

    def serve(listening: socket.socket, answer: bytes, drop: bytes) -> None:
        with listening, listening.accept()[0] as connection, suppress(OSError):
            connection.settimeout(0.02)
            with suppress(TimeoutError):
                while connection.recv(1 << 16):
                    pass
            connection.sendall(answer)
            while drop:
                connection.sendall(drop)
                with suppress(TimeoutError):
                    if not connection.recv(1):
                        return

    def start(answer: bytes, drop: bytes = b"") -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        threads.append(threading.Thread(target=serve, args=(listening, answer, drop)))
        threads[-1].start()
        return f"http://127.0.0.1:{port}"

    yield start
    for thread in threads:
        thread.join()


def _answered(content: object, status: str = "200 OK") -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("answer", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_fault_34_an_answer_has_one_deadline(
    answer: bytes, drop: bytes, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PATIENCE_S", 0.2)
    address = foreign(answer, drop)
    with pytest.raises(TargetError, match=naming(address, "0.2 s")):
        describe_agent(address)


def test_fault_34_an_answer_without_end_is_not_read(foreign: Foreign) -> None:
    address = foreign(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 10**5)
    with pytest.raises(TargetError, match=naming(address, 65536)):
        describe_agent(address)


@pytest.mark.parametrize(
    "changed",
    [{"median_ms": value} for value in (float("nan"), float("inf"), -1.0, 10**400, "x", [], None)]
    + [{"cores": "9" * 5000}, {"rounds_ms": 1}, {"model_memory_bytes": float("inf")}],
)
def test_what_was_not_measured_is_not_taken(
    changed: dict[str, object], foreign: Foreign, model: Path
) -> None:
    address = foreign(_answered(FOUND | changed))
    with pytest.raises(TargetError, match=naming(address, *changed)):
        ask_agent(address, model, threads=1)


def test_an_agent_that_serves_by_another_runtime_than_the_asked_one_is_not_taken_for_it(
    foreign: Foreign, model: Path
) -> None:
    """An agent of an earlier version looks at no runtime: it has one."""
    address = foreign(_answered(FOUND))
    with pytest.raises(TargetError, match=rf"{address} .*\bprobe\b.*onnxruntime 1\.0"):
        ask_agent(address, model, threads=1, runtime="probe")
    with pytest.raises(TargetError, match=r"\bprobe\b.*onnxruntime 1\.0"):
        describe_agent(foreign(_answered(FOUND)), "probe")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 60_000, "recursion"),
        (b"[1]", "list"),
        (b"1", "int"),
        (b"\xff", "0xff"),
        (b"{}", "processor"),
    ],
)
def test_what_is_no_description_is_refused(body: bytes, reason: str, foreign: Foreign) -> None:
    address = foreign(_answered(body))
    with pytest.raises(TargetError, match=naming(address, reason)):
        describe_agent(address)


def test_fault_35_a_processors_name_is_escaped_and_short(foreign: Foreign) -> None:
    name = "\x1b]0;owned\x07 \u202e" + "x" * 10_000
    machine = describe_agent(foreign(_answered(FOUND | {"processor": name})))
    assert machine.processor.startswith(r"\x1b]0;owned\x07 \u202ex")
    assert len(machine.processor) < 1000


@pytest.mark.parametrize(
    ("status", "kind"),
    [("422 No", ArtifactError), ("500 No", TargetError), ("200 OK", TargetError)],
)
def test_fault_35_an_agents_reason_is_escaped_and_short(
    status: str, kind: type[Exception], foreign: Foreign, model: Path
) -> None:
    wrong = "\x1b[2J\x9b" + "x" * 10_000
    answer = _answered(FOUND | {"error": wrong, "median_ms": wrong}, status)
    with pytest.raises(kind, match=re.escape(r"\x1b[2J\x9bx")) as told:
        ask_agent(foreign(answer), model, threads=1)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 1000


def test_fault_35_what_is_no_http_is_shown_escaped(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_TRIES", 1)
    with pytest.raises(TargetError, match=naming(r"\x1b[2J")):
        describe_agent(foreign(b"\x1b[2J SSH-2.0\r\n"))


def test_a_redirection_is_not_followed(foreign: Foreign) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        place = f"Location: http://127.0.0.1:{other.getsockname()[1]}/"
        address = foreign(f"HTTP/1.1 302 Found\r\n{place}\r\nContent-Length: 0\r\n\r\n".encode())
        with pytest.raises(TargetError, match=naming(address, 302)):
            describe_agent(address)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_no_proxy_is_given_the_token(foreign: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert describe_agent(foreign(_answered(FOUND))).processor == "P"


@pytest.mark.parametrize("wait", ["", "Retry-After: tomorrow\r\n", "Retry-After: -1\r\n"])
def test_who_is_busy_without_saying_how_long_is_not_asked_again(
    wait: str, foreign: Foreign, model: Path
) -> None:
    answer = f"HTTP/1.1 503 Busy\r\n{wait}Content-Length: 0\r\n\r\n".encode()
    address = foreign(answer)
    with pytest.raises(TargetError, match=naming(address, 503)):
        ask_agent(address, model, threads=1)


def test_fault_34_a_machine_that_says_too_much_over_ssh_is_left(
    model: Path, as_ssh: Callable[[str], None]
) -> None:
    as_ssh("exec yes")
    with pytest.raises(TargetError, match=naming("ssh://board", "1 MB")):
        ask_over_ssh("ssh://board", model, threads=1)


@pytest.mark.parametrize(
    ("status", "remedy"), [(255, "ssh board"), (1, "--python")], ids=["not reached", "not measured"]
)
def test_fault_35_what_is_said_over_ssh_is_escaped(
    status: int, remedy: str, model: Path, as_ssh: Callable[[str], None]
) -> None:
    as_ssh(rf"printf 'no \033[2J\302\233 %01000d' 7 >&2; exit {status}")
    with pytest.raises(
        TargetError, match=naming("ssh://board", r"no \x1b[2J\x9b", remedy)
    ) as raised:
        ask_over_ssh("ssh://board", model, threads=1)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1000


def test_a_file_is_measured_at_the_other_end_of_a_line(
    model: Path, as_ssh: Callable[[str], None]
) -> None:
    as_ssh('while [ "$1" != -- ]; do shift; done; exec sh -c "$3"')
    found = ask_over_ssh("ssh://board", model, threads=1, python=sys.executable)
    assert 0 < found.latency.median_ms <= found.latency.p95_ms


def test_what_is_measured_over_ssh_is_checked_too(
    model: Path, as_ssh: Callable[[str], None]
) -> None:
    as_ssh(f"echo hello; echo '{json.dumps(FOUND | {'median_ms': -1})}'")
    with pytest.raises(TargetError, match=naming("ssh://board", "median_ms", "-1")):
        ask_over_ssh("ssh://board", model, threads=1)


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ({}, 0.0),
        ({"rounds_ms": [1.0, 1.0, 2.0, 2.0]}, 0.5),  # of an older agent, which tells no share
        ({"rounds_ms": [1.0, 2.0], "disturbed": 0.0}, 0.0),
        ({"disturbed": 0.25}, 0.25),
    ],
)
def test_fault_43_the_share_of_disturbed_rounds_is_read_from_every_agent(
    told: dict[str, object], share: float
) -> None:
    profile = client.parsed_profile("http://board", json.dumps({**FOUND, **told}).encode())
    assert profile.latency.disturbed == share
    assert profile.to_json()["latency_disturbed_share"] == share
