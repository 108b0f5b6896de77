"""The agent's server, with limits on the number, time and resources of its clients."""

import asyncio
import socket
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from search.files.text import visible
from search.targets import registry
from search.targets.agent_limits import AgentLimits
from search.targets.agent_measuring import describe, measure_apart
from search.targets.agent_request import (
    HEAD_BYTES,
    TOKEN_VARIABLE,
    Refusal,
    RequestHead,
    answer_text,
    copy_body,
    discard,
    read_head,
    within,
)

_ADVICE = "create one with `openssl rand -hex 16`"
_RETRY_AFTER_S = 5
_WAITING = 128
_ACCEPTED_AT_ONCE = 4
_DISCARDED_BYTES = 1 << 30
_DISCARDED_WITHOUT_TOKEN_BYTES = 1 << 24
_DISCARDED_AT_LEAST_BYTES = 1 << 16
_SHOWN_CHARACTERS = 200
_ACCEPTING_S = 1.0


class Agent:
    """Server that measures one file at a time, so that measurements do not disturb each other.

    Args:
        host: the address to listen on.
        port: the port; 0 selects a free one, see `server_port`.
        token: the token that every request must contain.
        limits: the limits. They may be replaced while the agent serves; new requests use them.

    Raises:
        ValueError: the token is too short, or has characters that an HTTP header can't contain.
        OSError: the agent can't listen on the address.
    """

    def __init__(
        self, host: str, port: int, *, token: str, limits: AgentLimits | None = None
    ) -> None:
        _check_token(token)
        self._socket = socket.create_server((host, port))
        self._token = token
        self.limits = limits or AgentLimits()
        # The client of each connection that may be dropped, in the order of arrival.
        self._droppable: dict[StreamWriter, str] = {}
        # asyncio holds only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        self._places: list[int] = []
        self._measuring = asyncio.Lock()
        self._stopped: Future[None] = Future()

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def server_port(self) -> int:
        """The port on which it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def serve_forever(self) -> None:
        """Answer requests until another thread or a signal handler calls `shutdown`."""
        asyncio.run(self._serve())

    def shutdown(self) -> None:
        """End `serve_forever` and the running measurement."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_log_fault)
        server = await asyncio.start_server(
            self._connected, sock=self._socket, limit=HEAD_BYTES, backlog=_ACCEPTED_AT_ONCE
        )
        # asyncio uses `backlog` for two limits. Here more connections may wait than are accepted at
        # once.
        self._socket.listen(_WAITING)
        # Not `async with server`: since Python 3.12 it waits for all connected clients.
        try:
            await asyncio.wrap_future(self._stopped)
        finally:
            # Accept no more connections, and wait for the ones that asyncio is accepting, since
            # these would stay open.
            asyncio.get_running_loop().remove_reader(self._socket)
            if accepting := asyncio.all_tasks() - self._tasks - {asyncio.current_task()}:
                await asyncio.wait(accepting, timeout=_ACCEPTING_S)
            server.close()
            # Close connections whose tasks have not begun; `asyncio.run` cancels these tasks.
            for writer in self._droppable:
                writer.close()

    def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        self._make_room()
        self._droppable[writer] = address
        task = asyncio.get_running_loop().create_task(self._handle(reader, writer, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, reader: StreamReader, writer: StreamWriter, address: str) -> None:
        try:
            await self._exchange(reader, writer, address)
        except (OSError, EOFError):
            return  # the client has disconnected
        finally:
            self._droppable.pop(writer, None)
            writer.close()

    def _make_room(self) -> None:
        """While there are too many connections, drop the oldest one of the client with the most."""
        while len(self._droppable) >= max(1, self.limits.connections):
            ((most, _),) = Counter(self._droppable.values()).most_common(1)
            oldest = next(writer for writer, client in self._droppable.items() if client == most)
            del self._droppable[oldest]
            oldest.transport.abort()

    async def _exchange(self, reader: StreamReader, writer: StreamWriter, address: str) -> None:
        line, left, retry_after_s = "-", _DISCARDED_AT_LEAST_BYTES, None
        try:
            head = await within(self.limits.head_s, read_head(reader), self._too_slow())
            line = head.line
            left = max(left, min(_stated_length(head), _DISCARDED_WITHOUT_TOKEN_BYTES))
            if not head.has_token(self._token):
                raise Refusal(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
            left = max(left, min(_stated_length(head), _DISCARDED_BYTES))
            status, answer = HTTPStatus.OK, await self._reply(head, reader, writer)
        except Refusal as error:
            status, answer = error.status, {"error": str(error)}
            retry_after_s = error.retry_after_s
        except (ConnectionError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001  such as a full disk: report it to the client
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = {"error": f"{type(error).__name__}: {error}"}
        if line != "-" or status is not HTTPStatus.REQUEST_TIMEOUT:  # the client sent nothing
            _log(f"{address} {line[:_SHOWN_CHARACTERS]} {status.value} {answer.get('error', '')}")
        writer.write(answer_text(status, answer, retry_after_s=retry_after_s))
        writer.write_eof()
        # If the connection closes while the client still sends, it gets an error, not the answer.
        with suppress(Refusal):
            await within(self.limits.body_s(left), discard(reader, left), self._too_slow())

    async def _reply(
        self, head: RequestHead, reader: StreamReader, writer: StreamWriter
    ) -> dict[str, Any]:
        if (head.method, head.path) == ("GET", "/"):
            return describe(head.runtime)
        if (head.method, head.path) != ("POST", "/measure"):
            raise Refusal(HTTPStatus.NOT_FOUND, "the request must be GET / or POST /measure")
        limits, length = self.limits, head.length
        threads, runtime = head.threads, head.runtime
        if length > limits.file_bytes:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the file must have at most {limits.file_bytes} bytes, but has {length}: start "
                "the agent with a larger --max-size",
            )
        with self._place(writer, length), TemporaryDirectory() as folder:
            if head.waits_for_continue:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            model = Path(folder) / registry.runtime(runtime).file
            with model.open("wb") as file:
                body = copy_body(reader, length, file)
                await within(limits.body_s(length), body, self._too_slow())
            return await self._measured_alone(model, runtime=runtime, threads=threads)

    async def _measured_alone(self, model: Path, *, runtime: str, threads: int) -> dict[str, Any]:
        limits = self.limits
        await within(limits.waiting_s, self._measuring.acquire(), _busy())
        try:
            return await measure_apart(
                model,
                runtime=runtime,
                threads=threads,
                memory_bytes=limits.memory_bytes,
                seconds=limits.measuring_s,
            )
        finally:
            self._measuring.release()

    @contextmanager
    def _place(self, writer: StreamWriter, length: int) -> Iterator[None]:
        """Reserve a place for one more file; during the block, its connection is not dropped.

        Raises:
            Refusal: all places are taken.
        """
        places, limits = self._places, self.limits
        if len(places) >= limits.places or sum(places) + length > limits.file_bytes:
            raise _busy()
        address = self._droppable.pop(writer, None)
        if address is None:
            raise ConnectionAbortedError("the connection was dropped while its head was read")
        places.append(length)
        try:
            yield
        finally:
            places.remove(length)
            self._droppable[writer] = address

    def _too_slow(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the head of a request must arrive within {self.limits.head_s:g} s, and its body at "
            f"{self.limits.bytes_per_s} bytes per second or faster",
        )


def _busy() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the agent is busy with other files: try again later",
        retry_after_s=_RETRY_AFTER_S,
    )


def _stated_length(head: RequestHead) -> int:
    """Return the length that the request states for its body; 0 if it is invalid."""
    try:
        return head.length
    except Refusal:
        return 0


def _check_token(token: str) -> None:
    if len(token) < 16:
        raise ValueError(
            f"{TOKEN_VARIABLE} must contain a token of 16 characters or more, but contains "
            f"{len(token)}: {_ADVICE}"
        )
    if not (token.isascii() and token.isprintable()):
        raise ValueError(
            f"{TOKEN_VARIABLE} must contain only printable ASCII characters: {_ADVICE}"
        )


def _log_fault(_: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
    """Log an error of asyncio, such as too many open files, on one line without a traceback."""
    _log(f"{fault['message']}: {fault.get('exception', '')}")


def _log(line: str) -> None:
    with suppress(OSError):  # the reader of the log has closed it
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {visible(line.rstrip())}\n")
