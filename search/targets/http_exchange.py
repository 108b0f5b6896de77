"""One HTTP request to an untrusted server, with limits on time and size."""

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
    """The answer of a server.

    Attributes:
        status: the HTTP status.
        body: the whole body, or the first `MOST_BYTES` + 1 bytes of a longer one.
        retry_after: the Retry-After header; empty if there is none.
    """

    status: int
    body: bytes
    retry_after: str


def exchange(
    address: str, path: str, *, token: str, seconds: float, body: Path | None = None
) -> HttpAnswer:
    """Return the answer of the server at `address`; redirects and proxies are not followed.

    Args:
        address: `http://host:port`, or https.
        path: the path below the address.
        token: the bearer token.
        seconds: the time limit of the whole exchange after the connection.
        body: a file to POST; None sends a GET.

    Raises:
        ValueError: the address is invalid.
        TimeoutError: the exchange took too long.
        OSError, HTTPException: the server can't be reached, or does not speak HTTP.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must have the scheme http or https, and a host")
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
        opened.enter_context(_closed_after(seconds, connection.sock))
        method = "GET" if file is None else "POST"
        connection.request(method, parts.path.rstrip("/") + path, file, headers)
        response = opened.enter_context(connection.getresponse())
        found = response.read(MOST_BYTES + 1)
        return HttpAnswer(response.status, found, response.headers.get("Retry-After", ""))


@contextmanager
def _closed_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """Close the connection when the time is over.

    A socket's own timeout is not enough: it starts again with every byte that arrives.

    Raises:
        TimeoutError: the time was over before the block ended.
    """
    timed_out = threading.Event()

    def close() -> None:
        timed_out.set()
        with suppress(OSError):
            # The shutdown of TLS would wait for the server.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    connected.settimeout(seconds)
    timer = threading.Timer(seconds, close)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException) as error:
        if timed_out.is_set():
            raise TimeoutError(f"it did not end within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if timed_out.is_set():
        raise TimeoutError(f"it did not end within {seconds:g} s")
