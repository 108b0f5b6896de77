"""Measuring over ssh, by OpenSSH itself: its server, its client and a key, on the loopback."""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pytest

from search.errors import TargetError
from search.targets.ssh import ask_over_ssh
from spaces.processor import processor_name
from tests.messages import naming

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
ROOTS_FOLDER = Path("/run/sshd")
"""Which a server that root runs asks for; the system makes it as the service starts."""


def _why_not() -> str:
    if SSHD is None or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        return "needs OpenSSH's server and client: apt-get install openssh-server"
    if os.geteuid() == 0 and not ROOTS_FOLDER.is_dir():
        return f"OpenSSH's server, run by root, needs {ROOTS_FOLDER}: mkdir it"
    return ""


pytestmark = pytest.mark.skipif(bool(_why_not()), reason=_why_not())


@dataclass(frozen=True)
class Board:
    """A machine that lets one key in.

    Attributes:
        address: for whoever measures there.
        folder: for temporary files there.
        configuration: of this user's client.
        log: of the server.
    """

    address: str
    folder: Path
    configuration: Path
    log: Path


def _key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _await(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """This machine, by ssh; `ssh` has a configuration that knows its key and its host's."""
    home, port = tmp_path / "ssh", _free_port()
    home.mkdir()
    own, hosts = _key(home / "own"), _key(home / "host")
    (home / "there").mkdir()
    (home / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {hosts}\nPidFile none\n"
        f"AuthorizedKeysFile {own}.pub\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
        f"KbdInteractiveAuthentication no\nSetEnv TMPDIR={home / 'there'}\n"
    )
    kind, key = hosts.with_suffix(".pub").read_text().split()[:2]
    (home / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    (home / "config").write_text(
        f"IdentityFile {own}\nIdentitiesOnly yes\nUserKnownHostsFile {home / 'known'}\n"
    )
    # A person's configuration is in the home folder, which no variable moves.
    client = home / "bin" / "ssh"
    client.parent.mkdir()
    real = shlex.quote(shutil.which("ssh") or "")
    client.write_text(f'#!/bin/sh\nexec {real} -F {shlex.quote(str(home / "config"))} "$@"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    log = home / "log"
    command = [str(SSHD), "-D", "-e", "-f", str(home / "sshd_config")]
    with log.open("wb") as told, subprocess.Popen(command, stderr=told) as server:
        try:
            _await(port, server, log)
            address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
            yield Board(address, home / "there", home / "config", log)
        finally:
            server.terminate()


def test_a_file_is_measured_over_ssh_and_nothing_stays_there(board: Board, model: Path) -> None:
    found = ask_over_ssh(board.address, model, threads=1, python=sys.executable)
    assert found.machine.processor == processor_name()
    assert found.machine.runtime == f"onnxruntime {onnxruntime.__version__}"
    assert 0 < found.latency.median_ms <= found.latency.p95_ms
    assert 0 < found.model_memory_bytes < found.process_memory_bytes
    assert "Accepted publickey" in board.log.read_text()
    assert list(board.folder.iterdir()) == []


def test_a_key_that_is_not_let_in_is_told_with_the_command_to_try(
    board: Board, model: Path, tmp_path: Path
) -> None:
    other = _key(tmp_path / "other")
    text = board.configuration.read_text().replace(str(tmp_path / "ssh" / "own"), str(other))
    board.configuration.write_text(text)
    with pytest.raises(TargetError, match=naming(board.address, "Permission denied", "ssh -p")):
        ask_over_ssh(board.address, model, threads=1)


def test_a_host_that_the_person_never_accepted_is_not_trusted(board: Board, model: Path) -> None:
    (board.configuration.parent / "known").write_text("")
    with pytest.raises(
        TargetError, match=naming(board.address, "Host key verification failed", "ssh -p")
    ):
        ask_over_ssh(board.address, model, threads=1)


def test_a_python_that_is_not_there_is_told_with_the_option(board: Board, model: Path) -> None:
    with pytest.raises(TargetError, match=naming("model.onnx", "/nowhere/python3", "--python")):
        ask_over_ssh(board.address, model, threads=1, python="/nowhere/python3")


def test_a_file_that_the_runtime_there_cannot_load_is_told(board: Board, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no network")
    with pytest.raises(TargetError, match=naming("wrong.onnx", "ONNX")):
        ask_over_ssh(board.address, wrong, threads=1, python=sys.executable)
