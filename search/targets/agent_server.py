"""The agent's server: limits on its clients' number, time and resources."""

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

_MAKE_ONE = "make one with `openssl rand -hex 16`"
_RETRY_AFTER_S = 5
_WAITING = 128
_ACCEPTED_AT_ONCE = 4
_DISCARDED_BYTES = 1 << 30
_DISCARDED_OF_STRANGER_BYTES = 1 << 24
_DISCARDED_AT_LEAST_BYTES = 1 << 16
_SHOWN_CHARACTERS = 200
_LETTING_IN_S = 1.0


class Agent:
    """Server that measures one file at a time, so that no measurement disturbs another.

    Args:
        host: the address to listen on.
        port: 0 takes a free one, see `server_port`.
        token: the token that every request must carry.
        limits: may be replaced while it serves; new requests use the new limits.

    Raises:
        ValueError: the token is short, or no header can hold it.
        OSError: the address can't be listened on.
    """

    def __init__(
        self, host: str, port: int, *, token: str, limits: AgentLimits | None = None
    ) -> None:
        _check_token(token)
        self._socket = socket.create_server((host, port))
        self._token = token
        self.limits = limits or AgentLimits()
        # In the order of their arrival.
        self._droppable: dict[StreamWriter, str] = {}
        # asyncio itself keeps no task alive.
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
        """Answer until `shutdown` is called, by another thread or a signal's handler."""
        asyncio.run(self._serve())

    def shutdown(self) -> None:
        """End `serve_forever`, with the measurement that is running."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_tell_fault)
        server = await asyncio.start_server(
            self._connected, sock=self._socket, limit=HEAD_BYTES, backlog=_ACCEPTED_AT_ONCE
        )
        # asyncio uses its backlog for both; more may wait than are accepted before any is dropped.
        self._socket.listen(_WAITING)
        # Not `async with server`, which since Python 3.12 waits for all connected clients.
        try:
            await asyncio.wrap_future(self._stopped)
        finally:
            # Accept no more. A connection that a task of asyncio is just accepting would stay open.
            asyncio.get_running_loop().remove_reader(self._socket)
            if let_in := asyncio.all_tasks() - self._tasks - {asyncio.current_task()}:
                await asyncio.wait(let_in, timeout=_LETTING_IN_S)
            server.close()
            # Connections of tasks that never began; cancelling ends these tasks now.
            for writer in self._droppable:
                writer.close()

    def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        self._make_room()
        self._droppable[writer] = address
        task = asyncio.get_running_loop().create_task(self._attend(reader, writer, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, reader: StreamReader, writer: StreamWriter, address: str) -> None:
        try:
            await self._exchange(reader, writer, address)
        except (OSError, EOFError):
            return  # the client is gone
        finally:
            self._droppable.pop(writer, None)
            writer.close()

    def _make_room(self) -> None:
        """Drop the oldest connection of the client with the most, while there are too many."""
        while len(self._droppable) >= max(1, self.limits.connections):
            ((most, _),) = Counter(self._droppable.values()).most_common(1)
            oldest = next(writer for writer, held_by in self._droppable.items() if held_by == most)
            del self._droppable[oldest]
            oldest.transport.abort()

    async def _exchange(self, reader: StreamReader, writer: StreamWriter, address: str) -> None:
        line, left, retry_after_s = "-", _DISCARDED_AT_LEAST_BYTES, None
        try:
            head = await within(self.limits.head_s, read_head(reader), self._too_slow())
            line = head.line
            left = max(left, min(_told_length(head), _DISCARDED_OF_STRANGER_BYTES))
            if not head.bears(self._token):
                raise Refusal(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
            left = max(left, min(_told_length(head), _DISCARDED_BYTES))
            status, answer = HTTPStatus.OK, await self._reply(head, reader, writer)
        except Refusal as error:
            status, answer = error.status, {"error": str(error)}
            retry_after_s = error.retry_after_s
        except (ConnectionError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001  such as a full disk: the client must be told
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = {"error": f"{type(error).__name__}: {error}"}
        if line != "-" or status is not HTTPStatus.REQUEST_TIMEOUT:  # silence is no request
            _log(f"{address} {line[:_SHOWN_CHARACTERS]} {status.value} {answer.get('error', '')}")
        writer.write(answer_text(status, answer, retry_after_s=retry_after_s))
        writer.write_eof()
        # A client that still sends when the connection closes sees an error instead of the answer.
        with suppress(Refusal):
            await within(self.limits.body_s(left), discard(reader, left), self._too_slow())

    async def _reply(
        self, head: RequestHead, reader: StreamReader, writer: StreamWriter
    ) -> dict[str, Any]:
        if (head.method, head.path) == ("GET", "/"):
            return describe(head.runtime)
        if (head.method, head.path) != ("POST", "/measure"):
            raise Refusal(HTTPStatus.NOT_FOUND, "there is GET / and POST /measure")
        limits, length = self.limits, head.length
        threads, runtime = head.threads, head.runtime
        if length > limits.file_bytes:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a file may have {limits.file_bytes} bytes, but this has {length}: start the "
                "agent with a larger --max-size",
            )
        with self._place(writer, length), TemporaryDirectory() as folder:
            if head.waits_for_leave:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            model = Path(folder) / registry.runtime(runtime).file
            with model.open("wb") as file:
                body = copy_body(reader, length, file)
                await within(limits.body_s(length), body, self._too_slow())
            return await self._measured_in_turn(model, runtime=runtime, threads=threads)

    async def _measured_in_turn(self, model: Path, *, runtime: str, threads: int) -> dict[str, Any]:
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
        """Hold room for one more file; its connection is not dropped meanwhile.

        Raises:
            Refusal: there is none now.
        """
        held, limits = self._places, self.limits
        if len(held) >= limits.places or sum(held) + length > limits.file_bytes:
            raise _busy()
        address = self._droppable.pop(writer, None)
        if address is None:
            raise ConnectionAbortedError("it was dropped as its head came")
        held.append(length)
        try:
            yield
        finally:
            held.remove(length)
            self._droppable[writer] = address

    def _too_slow(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            f"a request's head must come within {self.limits.head_s:g} s, and its body by "
            f"{self.limits.bytes_per_s} bytes a second",
        )


def _busy() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "other files are to be measured first",
        retry_after_s=_RETRY_AFTER_S,
    )


def _told_length(head: RequestHead) -> int:
    """Return the length of the body that is sent, even if the request will be refused."""
    try:
        return head.length
    except Refusal:
        return 0


def _check_token(token: str) -> None:
    if len(token) < 16:
        raise ValueError(
            f"{TOKEN_VARIABLE} must hold a token of 16 characters or more, but holds "
            f"{len(token)}: {_MAKE_ONE}"
        )
    if not (token.isascii() and token.isprintable()):
        raise ValueError(
            f"{TOKEN_VARIABLE} must hold printable ASCII characters alone: {_MAKE_ONE}"
        )


def _tell_fault(_: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
    """Log in one line what asyncio would log with a traceback, such as too many open files."""
    _log(f"{fault['message']}: {fault.get('exception', '')}")


def _log(line: str) -> None:
    with suppress(OSError):  # nobody reads the log any more
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {visible(line.rstrip())}\n")
