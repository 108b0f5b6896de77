"""Reading of one HTTP request to the agent, with a check of every part before its use."""

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
    """An answer other than 200, with its reason; with the time for a retry if one may succeed."""

    def __init__(
        self, status: HTTPStatus, reason: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s


async def within(seconds: float, work: Awaitable[_T], refusal: Refusal) -> _T:
    """Return the result of `work`; raise the refusal if it takes longer than the given time."""
    try:
        return await asyncio.wait_for(work, seconds)
    # Boards have Python 3.10, where this is not the built-in TimeoutError.
    except asyncio.TimeoutError:  # noqa: UP041
        raise refusal from None


@dataclass(frozen=True)
class RequestHead:
    """A request without its body.

    Attributes:
        line: the first line.
        method: such as `POST`.
        path: such as `/measure`.
        query: the text after the question mark.
        headers: all headers; a name may occur more than once.
    """

    line: str
    method: str
    path: str
    query: str
    headers: HTTPMessage

    def has_token(self, token: str) -> bool:
        """Return whether its only Authorization header is `Bearer` and the token."""
        given = self.headers.get_all("Authorization", [])
        expected = f"Bearer {token}".encode()
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), expected)

    @property
    def threads(self) -> int:
        """The number of threads that the request asks for; 1 by default.

        Raises:
            Refusal: it is not a valid number of threads.
        """
        text = parse_qs(self.query).get("threads", ["1"])[0]
        if not _THREADS.fullmatch(text) or not 1 <= int(text) <= _MOST_THREADS:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                f"threads must be 1 to {_MOST_THREADS}, but got {text[:20]}",
            )
        return int(text)

    @property
    def runtime(self) -> str:
        """The name of the runtime that the request asks for; the default one if it names none.

        Raises:
            Refusal: this machine has no runtime of that name.
        """
        name = parse_qs(self.query).get("runtime", [DEFAULT_RUNTIME])[0]
        try:
            return known_runtime(name[:_NAME_CHARACTERS])
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"runtime {error}") from error

    @property
    def length(self) -> int:
        """The length of the body in bytes.

        Raises:
            Refusal: Content-Length is missing, occurs twice, or is not a number.
        """
        given = self.headers.get_all("Content-Length", [])
        if not given or "Transfer-Encoding" in self.headers:
            raise Refusal(
                HTTPStatus.LENGTH_REQUIRED, "the request must have a Content-Length header"
            )
        if len(given) > 1 or not _LENGTH.fullmatch(given[0]):
            raise Refusal(
                HTTPStatus.BAD_REQUEST, "Content-Length must be one number of up to 15 digits"
            )
        return int(given[0])

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        return str(self.headers.get("Expect", "")).lower() == "100-continue"


async def read_head(reader: asyncio.StreamReader) -> RequestHead:
    """Read the next request's head.

    Raises:
        Refusal: it is too long, or not HTTP.
        EOFError: the client sent less than a whole head.
    """
    line = (await _line(reader)).decode("latin-1")
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "a request must begin with a line such as `GET / HTTP/1.1`, but begins "
            f"{line[:40].strip()}",
        )
    method, target = match.groups()
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
        f"the head of a request must have at most {HEAD_BYTES} bytes and {_HEADERS} headers",
    )


async def copy_body(reader: asyncio.StreamReader, length: int, file: BinaryIO) -> None:
    """Copy the body to a file in chunks.

    Raises:
        EOFError: the client sent fewer bytes.
    """
    while length:
        chunk = await reader.read(min(length, _CHUNK_BYTES))
        if not chunk:
            raise EOFError(f"{length} bytes of the file are missing")
        file.write(chunk)
        length -= len(chunk)


async def discard(reader: asyncio.StreamReader, length: int) -> None:
    """Read and discard up to `length` bytes, or until the client closes the connection."""
    while length > 0 and (chunk := await reader.read(min(length, _CHUNK_BYTES))):
        length -= len(chunk)


def answer_text(
    status: HTTPStatus, content: Mapping[str, Any], *, retry_after_s: int | None = None
) -> bytes:
    """Return the bytes of an answer with a JSON body, after which the connection closes."""
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
