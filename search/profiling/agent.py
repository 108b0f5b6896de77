"""The agent: a small server on the machine that will serve, which measures ONNX files there.

It needs Python 3.10 or newer and ONNX Runtime, no more: `retort agent --write agent.pyz` packs it
into one file, which a board runs with `python3 agent.pyz`. Every request must bear the token in
RETORT_AGENT_TOKEN:

GET  /                   the processor, the runtime, the cores
POST /measure?threads=1  the bytes of an ONNX file; its latency and the memory it took

Each file is measured in a process of its own, one at a time, in an empty folder, and for a limited
time. Nothing is run but ONNX Runtime, without libraries of custom operators.
"""

import argparse
import hmac
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from search.errors import RetortError

TOKEN_VARIABLE = "RETORT_AGENT_TOKEN"  # noqa: S105  the variable's name
DEFAULT_PORT = 8765
MOST_BYTES = 256 * 10**6
_MAKE_ONE = "make one with `openssl rand -hex 16`"
_DRAINED_BYTES = 2**24
_PATIENCE_S = 60.0
_MOST_THREADS = 256
_ROOT = Path(__file__).parents[2]
"""The checkout, or the packed file: what must be on the path of the measuring process."""


class _Refusal(Exception):
    """An answer other than 200, with its reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Agent(ThreadingHTTPServer):
    """Measures one file at a time, so that no measurement disturbs another.

    Args:
        host: the address to listen on.
        port: 0 takes a free one, see `server_port`.
        token: what every request must bear.
        most_bytes: of a file.
        patience_s: for a file to be measured.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str,
        most_bytes: int = MOST_BYTES,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        if len(token) < 16:
            raise ValueError(
                f"{TOKEN_VARIABLE} must hold a token of 16 characters or more, but holds "
                f"{len(token)}: {_MAKE_ONE}"
            )
        if not (token.isascii() and token.isprintable()):
            raise ValueError(
                f"{TOKEN_VARIABLE} must hold printable ASCII characters alone: {_MAKE_ONE}"
            )
        super().__init__((host, port), _Handler)
        self.token = token
        self.most_bytes = most_bytes
        self.patience_s = patience_s
        self.measuring = threading.Lock()


def describe() -> dict[str, Any]:
    """What this machine is."""
    import onnxruntime

    from spaces.processor import multiplies_int8_exactly, processor_name

    return {
        "processor": processor_name(),
        "exact_int8": multiplies_int8_exactly(),
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "cores": os.cpu_count() or 1,
    }


def measure(model: Path, *, threads: int) -> dict[str, Any]:
    """Latency and memory of an ONNX file, here, in this process.

    Raises:
        ArtifactError: ONNX Runtime can't load or run the file.
    """
    from search.measuring.runtime import Session
    from search.measuring.timing import measure_latency

    before = _peak_memory_bytes()
    session = Session(model, threads=threads)
    (latency,) = measure_latency([session])
    after = _peak_memory_bytes()
    return {
        **describe(),
        "threads": threads,
        "median_ms": latency.median_ms,
        "p95_ms": latency.p95_ms,
        "rounds_ms": latency.rounds_ms,
        "process_memory_bytes": after,
        "model_memory_bytes": after - before,
    }


def measure_apart(model: bytes, *, threads: int, patience_s: float) -> dict[str, Any]:
    """As `measure`, in a process of its own; a file that breaks it breaks nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        # Not even the token is there to be read.
        kept = {k: v for k, v in os.environ.items() if k != TOKEN_VARIABLE}
        code = "from search.profiling.agent import main; main()"
        command = [sys.executable, "-c", code, "measure", str(path), "--threads", str(threads)]
        try:
            done = subprocess.run(  # noqa: S603
                command,
                cwd=folder,
                # ONNX Runtime leaves a file in the folder for temporary ones.
                env={**kept, "PYTHONPATH": str(_ROOT), "TMPDIR": folder},
                capture_output=True,
                text=True,
                timeout=patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _Refusal(
                HTTPStatus.GATEWAY_TIMEOUT, f"the file was not measured within {patience_s:g} s"
            ) from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise _Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, reason[:500])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _peak_memory_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux it starts from what the process held that this one came from.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


class _Handler(BaseHTTPRequestHandler):
    server: Agent
    timeout = 30  # of a client that sends nothing
    server_version = "retort-agent"
    sys_version = ""

    def do_GET(self) -> None:
        self._reply(self._described)

    def do_POST(self) -> None:
        self._reply(self._measured)

    def _reply(self, find: Callable[[], dict[str, Any]]) -> None:
        try:
            self._check_token()
            status, answer = HTTPStatus.OK, find()
        except _Refusal as error:
            status, answer = error.status, {"error": str(error)}
            self._drain(of_stranger=status is HTTPStatus.UNAUTHORIZED)
        except Exception as error:  # noqa: BLE001  such as a full disk: who asks must be told
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # What was sent after a refusal is not read.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _check_token(self) -> None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, self.server.token.encode()):
            raise _Refusal(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")

    def _described(self) -> dict[str, Any]:
        if urlsplit(self.path).path != "/":
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is / and /measure")
        return describe()

    def _measured(self) -> dict[str, Any]:
        asked = urlsplit(self.path)
        if asked.path != "/measure":
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is / and /measure")
        threads = parse_qs(asked.query).get("threads", ["1"])[0]
        if not threads.isdecimal() or not 1 <= int(threads) <= _MOST_THREADS:
            raise _Refusal(
                HTTPStatus.BAD_REQUEST, f"threads must be 1 to {_MOST_THREADS}, but got {threads}"
            )
        body = self._body()
        with self.server.measuring:
            return measure_apart(body, threads=int(threads), patience_s=self.server.patience_s)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "the file's length must be told")
        if int(length) > self.server.most_bytes:
            raise _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a file may have {self.server.most_bytes} bytes, but this has {length}: start the "
                "agent with a larger --max-size",
            )
        body = self.rfile.read(int(length))
        del self.headers["Content-Length"]  # nothing is left to drain
        return body

    def _drain(self, *, of_stranger: bool) -> None:
        """Reads what else the client sends, so that it comes to read the refusal.

        Of one without the token no more than a little.
        """
        length = self.headers.get("Content-Length", "")
        left = int(length) if length.isdecimal() else 0
        left = min(left, _DRAINED_BYTES) if of_stranger else left
        while left > 0 and (taken := self.rfile.read(min(left, 1 << 16))):
            left -= len(taken)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base's name
        line = format % arguments
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self.address_string()} {line}\n")


def serve(host: str, port: int, *, most_bytes: int = MOST_BYTES) -> None:
    """Answers until Ctrl-C.

    Raises:
        ValueError: there is no token, or it is short.
        OSError: the address can't be listened on.
        ImportError: there is no ONNX Runtime.
    """
    here = describe()
    with Agent(
        host, port, token=os.environ.get(TOKEN_VARIABLE, ""), most_bytes=most_bytes
    ) as agent:
        sys.stderr.write(
            f"measuring on {here['processor']}, {here['cores']} cores, {here['runtime']}, at "
            f"http://{host}:{agent.server_port}; Ctrl-C ends it\n"
        )
        try:
            agent.serve_forever()
        except KeyboardInterrupt:
            return


def main() -> None:
    """The packed agent's own command: `serve`, or `measure FILE`."""
    parser = argparse.ArgumentParser(prog="agent", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="answer requests")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=DEFAULT_PORT)
    server.add_argument("--max-size", type=int, default=MOST_BYTES, help="of a file, in bytes")
    once = commands.add_parser("measure", help="measure a file, and print what was found")
    once.add_argument("file", type=Path)
    once.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    try:
        if given.command == "serve":
            serve(given.host, given.port, most_bytes=given.max_size)
        else:
            sys.stdout.write(json.dumps(measure(given.file, threads=given.threads)) + "\n")
    except (RetortError, OSError, ValueError, ImportError) as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
