"""HTTP on one socket as uvicorn speaks it, and what a slow or greedy client may not do there.

A request's head has a size and a time to come in, and a reply has a time to be read. The open
connections have places: where all are taken, the one that has been without a request for longest
makes room, and no address has more than its part. Connections are looked at about once a second,
so that all of this costs a request next to nothing. Bodies are bodies.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from flywheel.serve.errors import ApiError

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.config import Config
    from uvicorn.server import ServerState

_HEADERS = (
    b"content-type: application/json\r\ncache-control: no-store\r\n"
    b"x-content-type-options: nosniff\r\ncontent-security-policy: default-src 'none'\r\n"
    b"connection: close\r\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketBounds:
    """What connections may take."""

    head_seconds: float = 10
    """From connecting, or from a later request's first byte, until a request's head is there."""
    head_bytes: int = 32 * 1024
    num_headers: int = 100
    num_pipelined: int = 32
    """Requests sent ahead of the replies. What is read at once has room for 10,000 of them."""
    drain_seconds: float = 30
    """Without the client reading what waits for it."""
    num_connections: int = 512
    num_per_address: int = 256
    """A reverse proxy is one address."""


class Connections:
    """Those that are open, by the address that they come from."""

    def __init__(self, bounds: SocketBounds) -> None:
        self.bounds = bounds
        self._by_address: dict[str, set[BoundedProtocol]] = {}
        self._num_open = 0
        self._look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._num_open

    def add(self, connection: BoundedProtocol) -> bool:
        """Gives a connection a place. Whether there was one, or one could be made."""
        address = connection.address
        mine = self._by_address.get(address, set())
        if len(mine) >= self.bounds.num_per_address and not _make_room(mine):
            return False
        if self._num_open >= self.bounds.num_connections and not _make_room(self._all()):
            return False
        self._by_address.setdefault(address, set()).add(connection)
        self._num_open += 1
        if self._look is None:
            self._look_later(connection.loop)
        return True

    def remove(self, connection: BoundedProtocol) -> None:
        """Takes the place back. One that has none is fine."""
        mine = self._by_address.get(connection.address, set())
        if connection not in mine:
            return
        mine.remove(connection)
        self._num_open -= 1
        if not mine:
            del self._by_address[connection.address]
        if not self._num_open and self._look is not None:
            self._look.cancel()
            self._look = None

    def _all(self) -> list[BoundedProtocol]:
        return [each for mine in self._by_address.values() for each in mine]

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        seconds = min(1.0, self.bounds.head_seconds / 4, self.bounds.drain_seconds / 4)
        self._look = loop.call_later(seconds, self._look_at_all, loop)

    def _look_at_all(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look_later(loop)
        now = loop.time()
        for connection in self._all():
            connection.end_if_overdue(now)


def _make_room(connections: Iterable[BoundedProtocol]) -> bool:
    """Closes the one that has been without a request for longest. Whether there is one."""
    waiting = [
        (each.waiting_since, id(each), each)
        for each in connections
        if each.waiting_since is not None
    ]
    if not waiting:
        return False
    min(waiting)[2].leave()
    return True


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `bounded` makes the class that a server uses."""

    open_connections: ClassVar[Connections]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self.waiting_since: float | None = None
        """When it was last left without a request under way; None while there is one."""
        self._head_since: float | None = None
        self._stuck_since: float | None = None
        self._closing_since: float | None = None
        self._head_bytes = 0
        self._num_heads = 0
        self._in_body = False
        self._refusal: ApiError | None = None
        self._under_way: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a place, or says that there is none."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.waiting_since = self._head_since = self.loop.time()
        if not self.open_connections.add(self):
            self._refuse(
                ApiError(503, "Too many connections.", code="too_many_connections", retry_after=5)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back, and tells the request that is under way."""
        self.open_connections.remove(self)
        if self._under_way is not None and not self._under_way.response_complete:
            # uvicorn tells the newest, which may be waiting behind it.
            self._under_way.disconnected = True
            self._under_way.message_event.set()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Makes room for another."""
        self.open_connections.remove(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Reads on, a head only so far as it may be long."""
        self._unset_keepalive_if_required()
        if self.waiting_since is not None and self._head_since is None:
            self._head_since = self.loop.time()
        if not self._in_body:
            num_heads = self._num_heads
            part = data[: self.open_connections.bounds.head_bytes - self._head_bytes]
            data = data[len(part) :]
            self._head_bytes += len(part)
            self._feed(part)
            if data and self._num_heads == num_heads:
                self._refuse(_large_head())
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse(self._refusal or _no_request())

    def _without_upgrade(self) -> bytes:
        """The head that was read, to be read again without its wish for another protocol.

        The parser takes what follows such a head for that protocol's, but it is the body: Java's
        own client wishes for HTTP/2 in every first request.
        """
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name not in (b"upgrade", b"connection", b"http2-settings"):
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join([*head, b"\r\n"])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts the headers."""
        if len(self.headers) >= self.open_connections.bounds.num_headers:
            self._refusal = _large_head()
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begins a request."""
        if not self.url.startswith(b"/"):  # a proxy's form, whose host the app would not see
            raise ValueError("not a path")
        if self.parser.get_method() == b"CONNECT":  # is an upgrade whatever headers it has
            raise ValueError("not a proxy")
        if self.parser.should_upgrade():
            return  # read again, without that
        if len(self.pipeline) >= self.open_connections.bounds.num_pipelined:
            self._refusal = ApiError(429, "Too many requests ahead of their replies.")
            raise ValueError("too many requests ahead")
        self._num_heads += 1
        self._head_bytes = 0
        self._in_body = True
        self._head_since = self.waiting_since = None
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """Ends the request's body."""
        if not self.parser.should_upgrade():
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Waits for the next request, or for the rest of a body that nobody has read."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self.waiting_since = self.loop.time()
            owes = self._in_body or self._head_bytes
            self._head_since = self.waiting_since if owes else None

    def pause_writing(self) -> None:
        """The client does not read."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._stuck_since = None
        super().resume_writing()

    def end_if_overdue(self, now: float) -> None:
        """Closes the connection if its client has kept the server waiting for too long."""
        bounds = self.open_connections.bounds
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
        unread_since = self._stuck_since or self._closing_since
        if unread_since is not None and now - unread_since > bounds.drain_seconds:
            self.transport.abort()  # to close it would be to wait for what is not read
        elif self._head_since is not None and now - self._head_since > bounds.head_seconds:
            if self._head_bytes and not self._in_body:
                self._refuse(ApiError(408, "The request came too slowly.", code="head_too_slow"))
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        if self.transport.is_closing():
            return
        body = bytes(error.response().body)
        self.transport.write(
            STATUS_LINE[error.status]
            + _HEADERS
            + b"".join(f"{name}: {value}\r\n".encode() for name, value in error.headers().items())
            + b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


def bounded(bounds: SocketBounds | None = None) -> type[BoundedProtocol]:
    """A server's protocol: its connections share their places."""
    connections = Connections(bounds or SocketBounds())
    return type("Bounded", (BoundedProtocol,), {"open_connections": connections})


def _large_head() -> ApiError:
    return ApiError(431, "The request's headers are too large.", code="head_too_large")


def _no_request() -> ApiError:
    return ApiError(400, "This is no HTTP request.", code="bad_request_head")
