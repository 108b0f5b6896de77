"""One HTTP request to the agent; every part is checked before it is used."""

import asyncio
import hmac
import io
import json
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, parse_headers
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs

from search.targets.registry import DEFAULT_RUNTIME, known_runtime

TOKEN_VARIABLE = "RETORT_AGENT_TOKEN"  # noqa: S105  the variable's name
HEAD_BYTES = 1 << 14
_HEADERS = 100
_CHUNK_BYTES = 1 << 16
_MOST_THREADS = 256
_REQUEST_LINE = re.compile(r"([A-Z]+) (/[!-~]*) HTTP/1\.[01]\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}")
_NAME_CHARACTERS = 64
_THREADS = re.compile(r"[0-9]{1,3}")

_T = TypeVar("_T")


class Refusal(Exception):
    """An answer other than 200, with its reason; with a time to ask again where that may help."""

    def __init__(
        self, status: HTTPStatus, reason: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s


async def within(seconds: float, work: Awaitable[_T], refusal: Refusal) -> _T:
    """Return the result of `work`; raise the refusal once the time is over, whatever was sent."""
    try:
        return await asyncio.wait_for(work, seconds)
    # In Python 3.10, which boards have, it is not the built-in TimeoutError.
    except asyncio.TimeoutError:  # noqa: UP041
        raise refusal from None


@dataclass(frozen=True)
class RequestHead:
    """A request without its body.

    Attributes:
        line: the first line.
        method: such as `POST`.
        path: such as `/measure`.
        query: what follows the question mark.
        headers: as they were sent, so one name may occur more than once.
    """

    line: str
    method: str
    path: str
    query: str
    headers: HTTPMessage

    def bears(self, token: str) -> bool:
        """Return whether it has exactly one Authorization, which is `Bearer` and the token."""
        given = self.headers.get_all("Authorization", [])
        expected = f"Bearer {token}".encode()
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), expected)

    @property
    def threads(self) -> int:
        """The number of threads to serve with; 1 if the request has none.

        Raises:
            Refusal: it is no number of them.
        """
        asked = parse_qs(self.query).get("threads", ["1"])[0]
        if not _THREADS.fullmatch(asked) or not 1 <= int(asked) <= _MOST_THREADS:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                f"threads must be 1 to {_MOST_THREADS}, but got {asked[:20]}",
            )
        return int(asked)

    @property
    def runtime(self) -> str:
        """The runtime to serve the file with; the default one if the request names none.

        Raises:
            Refusal: none bears that name here.
        """
        asked = parse_qs(self.query).get("runtime", [DEFAULT_RUNTIME])[0]
        try:
            return known_runtime(asked[:_NAME_CHARACTERS])
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"runtime {error}") from error

    @property
    def length(self) -> int:
        """Length of the body in bytes.

        Raises:
            Refusal: it does not tell, or more than one, or no number.
        """
        given = self.headers.get_all("Content-Length", [])
        if not given or "Transfer-Encoding" in self.headers:
            raise Refusal(
                HTTPStatus.LENGTH_REQUIRED, "the file's length must be told by Content-Length"
            )
        if len(given) > 1 or not _LENGTH.fullmatch(given[0]):
            raise Refusal(
                HTTPStatus.BAD_REQUEST, "Content-Length must be one number of up to 15 digits"
            )
        return int(given[0])

    @property
    def waits_for_leave(self) -> bool:
        """Whether the client waits for leave before it sends the body."""
        return str(self.headers.get("Expect", "")).lower() == "100-continue"


async def read_head(reader: asyncio.StreamReader) -> RequestHead:
    """Read the next request's head.

    Raises:
        Refusal: it is too long, or not HTTP.
        EOFError: the client sent less than one.
    """
    line = (await _line(reader)).decode("latin-1")
    told = _REQUEST_LINE.fullmatch(line)
    if not told:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            f"a request must begin as in `GET / HTTP/1.1`, but begins {line[:40].strip()}",
        )
    method, target = told.groups()
    path, _, query = target.partition("?")
    headers = await _headers(reader, HEAD_BYTES - len(line))
    return RequestHead(line.rstrip(), method, path, query, headers)


async def _headers(reader: asyncio.StreamReader, room: int) -> HTTPMessage:
    lines = [await _line(reader)]
    while lines[-1] not in (b"\r\n", b"\n"):
        room -= len(lines[-1])
        if room < 0 or len(lines) > _HEADERS:
            raise _too_long()
        lines.append(await _line(reader))
    try:
        headers = parse_headers(io.BytesIO(b"".join(lines)))
    except HTTPException as error:
        raise _too_long() from error
    if headers.defects:
        raise Refusal(HTTPStatus.BAD_REQUEST, "each header must be a name, a colon and a value")
    return headers


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise _too_long() from error


def _too_long() -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"a request's head may have {HEAD_BYTES} bytes and {_HEADERS} headers",
    )


async def copy_body(reader: asyncio.StreamReader, length: int, file: BinaryIO) -> None:
    """Copy the body to a file, a piece at a time.

    Raises:
        EOFError: the client sent less.
    """
    while length:
        piece = await reader.read(min(length, _CHUNK_BYTES))
        if not piece:
            raise EOFError(f"{length} bytes of the file were not sent")
        file.write(piece)
        length -= len(piece)


async def discard(reader: asyncio.StreamReader, length: int) -> None:
    """Read up to so many bytes, or until the client ends."""
    while length > 0 and (piece := await reader.read(min(length, _CHUNK_BYTES))):
        length -= len(piece)


def answer_text(
    status: HTTPStatus, content: Mapping[str, Any], *, retry_after_s: int | None = None
) -> bytes:
    """Return an answer as it is sent before the connection closes; JSON escapes what is shown."""
    body = json.dumps(content).encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if retry_after_s is not None:
        lines.append(f"Retry-After: {retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode() + body
