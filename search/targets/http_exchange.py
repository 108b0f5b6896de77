"""One request to an untrusted server, bounded in time and size."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

MOST_BYTES = 1 << 16
_CONNECTING_S = 30.0


@dataclass(frozen=True)
class HttpAnswer:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        body: the whole body, or its first `MOST_BYTES` and one more.
        retry_after: the header as it was sent; empty if it was not sent.
    """

    status: int
    body: bytes
    retry_after: str


def exchange(
    address: str, path: str, *, token: str, seconds: float, body: Path | None = None
) -> HttpAnswer:
    """Return the answer of the server at `address`; neither redirections nor proxies are followed.

    Args:
        address: `http://host:port`, or https.
        path: the path below the address.
        token: the bearer token.
        seconds: for the whole exchange, once connected.
        body: a file to POST; None sends a GET.

    Raises:
        ValueError: the address is none.
        TimeoutError: the time is over.
        OSError, HTTPException: it can't be reached, or does not speak HTTP.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has no scheme or no host")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
    with ExitStack() as opened:
        connection = kind(parts.hostname, parts.port, timeout=_CONNECTING_S)
        opened.enter_context(closing(connection))
        file = None
        if body is not None:
            file = opened.enter_context(body.open("rb"))
            headers["Content-Length"] = str(body.stat().st_size)
        connection.connect()
        opened.enter_context(_ended_after(seconds, connection.sock))
        method = "GET" if file is None else "POST"
        connection.request(method, parts.path.rstrip("/") + path, file, headers)
        response = opened.enter_context(connection.getresponse())
        found = response.read(MOST_BYTES + 1)
        return HttpAnswer(response.status, found, response.headers.get("Retry-After", ""))


@contextmanager
def _ended_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """Cut the connection when the time is over.

    A socket's own time-out starts again with each byte that arrives.

    Raises:
        TimeoutError: it was cut.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        with suppress(OSError):
            # TLS' own shutdown would wait for the other side.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    connected.settimeout(seconds)
    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException) as error:
        if over.is_set():
            raise TimeoutError(f"it did not end within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError(f"it did not end within {seconds:g} s")
