"""A request's body as it comes in: how large it may be, how slow, and what JSON may hold.

JSON is read whole and checked before anything works on the request, so that a slow sender costs
no place and no parser meets nesting, numbers or text that it, or the database, fails on; so are
forms. A file is not read here but counted and timed while whoever takes it in reads it.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from flywheel.serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Message, Receive

MAX_BODY_BYTES = 2**20
MAX_DEPTH = 64
"""Of nested JSON: what walks it afterwards may spend several of Python's 1,000 frames a level."""
MAX_BRACKETS = 20_000
"""Opening ones: a megabyte of them takes 0.3 s to look through, and no request needs them."""
MAX_DIGITS = 64
MAX_FIELDS = 1_000
"""Of a form: half a megabyte of nothing but fields takes 0.4 s to look through."""

_SMALL_BYTES = 64 * 1024
"""Bodies up to this size are read whatever else comes in; larger ones share a budget."""
_LARGE_BYTES = 64 * 2**20
_LINGER_BYTES = 8 * 2**20

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NOT_BRACKETS = re.compile(rb"[^][{}]+")
_LONG_NUMBER = re.compile(rb"[0-9]{%d}|[eE][+-]?[0-9]{3}" % (MAX_DIGITS + 1))


class Gone(Exception):
    """The client has gone away; nobody reads a reply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How slowly a body may come in."""

    stall_seconds: float = 15
    """Without a byte."""
    bytes_per_second: float = 16 * 1024
    """On average, after `stall_seconds` that it may take in any case."""
    linger_seconds: float = 2
    """How long a body that is refused is read on, so that its sender reads the reply: a connection
    that is closed with bytes unread loses what was sent last."""


class Budget:
    """The memory that large bodies share while they come in."""

    def __init__(self, size_bytes: int = _LARGE_BYTES) -> None:
        self.left_bytes = size_bytes

    def take(self, size_bytes: int) -> None:
        """Takes some.

        Raises:
            ApiError: 503, too little is left.
        """
        if size_bytes > self.left_bytes:
            raise ApiError(
                503, "Too many large requests at once; come again.", code="busy", retry_after=5
            )
        self.left_bytes -= size_bytes


class Incoming:
    """One body."""

    def __init__(
        self, receive: Receive, patience: Patience, *, is_there: bool, waits: bool = False
    ) -> None:
        """
        Args:
            is_there: whether the request has a body.
            waits: whether its sender waits for a word before sending it (Expect: 100-continue).
        """
        self._receive, self._patience, self._waits = receive, patience, waits
        self._max_bytes = 0
        self._waited_seconds = 0.0
        self.size_bytes = 0
        self.complete = not is_there
        self.broken: ApiError | None = None
        """Why no more of it was given to whoever reads it with `asgi`."""

    def limit(self, max_bytes: int, announced: int | None) -> None:
        """Says how large it may be; `announced` is the request's Content-Length.

        Raises:
            ApiError: 413, it says itself that it is larger.
        """
        self._max_bytes = max_bytes
        if announced is not None and announced > max_bytes:
            raise self._too_large()

    async def whole(self, budget: Budget) -> bytes:
        """All of it.

        Raises:
            ApiError: 408, it comes too slowly; 413, it is too large; 503, others are.
            Gone: the client went away.
        """
        body = bytearray()
        taken = 0
        try:
            while not self.complete:
                body += await self._next()
                if len(body) > _SMALL_BYTES:
                    budget.take(len(body) - taken)
                    taken = len(body)
        finally:
            budget.left_bytes += taken
        return bytes(body)

    async def asgi(self) -> Message:
        """The next piece for an app that reads it itself. One that comes too slowly or is too
        large looks to it as if the client had gone, and `broken` says why."""
        if self.broken is None:
            try:
                if self.complete:
                    return await self._receive()
                body = await self._next()
                return {"type": "http.request", "body": body, "more_body": not self.complete}
            except ApiError as error:
                self.broken = error
            except Gone:
                pass
        return {"type": "http.disconnect"}

    async def linger(self) -> None:
        """Reads on for a moment what nobody wants."""
        if self.complete or self._waits:
            return
        max_bytes = self.size_bytes + _LINGER_BYTES
        try:
            async with asyncio.timeout(self._patience.linger_seconds):
                while not self.complete and self.size_bytes < max_bytes:
                    self._count(await self._receive())
        except (TimeoutError, Gone):
            return

    async def _next(self) -> bytes:
        since = time.monotonic()
        patience = self._patience
        earned = patience.stall_seconds + self.size_bytes / patience.bytes_per_second
        try:
            async with asyncio.timeout(min(patience.stall_seconds, earned - self._waited_seconds)):
                body = self._count(await self._receive())
        except TimeoutError as error:
            raise ApiError(408, "The body came too slowly.", code="body_too_slow") from error
        self._waited_seconds += time.monotonic() - since
        if self.size_bytes > self._max_bytes:
            raise self._too_large()
        return body

    def _count(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise Gone
        body: bytes = message.get("body", b"")
        self.size_bytes += len(body)
        self.complete = not message.get("more_body", False)
        return body

    def _too_large(self) -> ApiError:
        size = self._max_bytes
        limit = f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"
        return ApiError(413, f"The body is too large: {limit} at most.", code="body_too_large")


def checked_json(body: bytes) -> bytes:
    """JSON that parsers and the database can take, as it was sent.

    Raises:
        ApiError: 400, it is none, or holds what they fail on: nesting, numbers, half characters.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise _bad_json(f"The body is not valid JSON: {error}.") from error
    if _num_brackets(body) > MAX_DEPTH or _LONG_NUMBER.search(body):
        bare = _STRING.sub(b'""', body)
        if _num_brackets(bare) > MAX_BRACKETS:
            raise _bad_json(f"The body holds more than {MAX_BRACKETS:,} lists and objects.")
        if _is_deep(bare):
            raise _bad_json(f"The body is nested more than {MAX_DEPTH} levels deep.")
        if _LONG_NUMBER.search(bare):
            raise _bad_json(
                f"The body holds a number of more than {MAX_DIGITS} digits, or of 1e100 or more."
            )
    if b"\\u0000" in body and _holds_nul(value):
        raise _bad_json("The body holds a NUL character, which no text has.")
    return body


def checked_form(body: bytes) -> bytes:
    """A form that parsers and the database can take, as it was sent.

    Raises:
        ApiError: 400, it holds what they fail on: too many fields, or a NUL.
    """
    if body.count(b"&") >= MAX_FIELDS:
        raise ApiError(400, f"The form has more than {MAX_FIELDS:,} fields.", code="invalid_form")
    if b"%00" in body or b"\0" in body:
        raise ApiError(
            400, "The form holds a NUL character, which no text has.", code="invalid_form"
        )
    return body


def _num_brackets(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _is_deep(bare: bytes) -> bool:
    """Whether JSON without its strings is nested too deeply."""
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _holds_nul(value: Any) -> bool:
    """Called only for what is not nested deeply."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


def _bad_json(message: str) -> ApiError:
    return ApiError(400, message, code="invalid_json")
