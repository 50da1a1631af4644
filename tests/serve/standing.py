"""A server of a stand-in app on a free port, and a client that says exactly what a test says."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.serve.bodies import Patience
from flywheel.serve.guard import Guard
from flywheel.serve.protocol import SocketBounds
from flywheel.serve.server import Server, bind, make_config
from flywheel.wheel.serving import ServeSettings

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

SECONDS = 10.0
"""Until a test gives up what it waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def code(self) -> str:
        """The code of an error."""
        import json

        code: str = json.loads(self.body)["error"]["code"]
        return code


class Standing:
    """The app: what it does is in the path. It notes who came and who was cancelled."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.cancelled: list[str] = []
        self.begun = threading.Event()
        self.ended = threading.Event()
        """Set when a request that waits was cancelled."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path: str = scope["path"]
        if scope["query_string"] == b"early":
            await reply(send, 200, b"text/plain", b"not read")
            return
        body, is_whole = await read(receive)
        if not is_whole:
            await reply(send, 400, b"text/plain", b"cut off")
            return
        self.seen.append((path, body))
        self.begun.set()
        try:
            await self._do(path, send)
        except asyncio.CancelledError:
            self.cancelled.append(path)
            self.ended.set()
            raise

    async def _do(self, path: str, send: Send) -> None:
        if path == "/broken":
            raise RuntimeError("a defect")
        if path == "/wait":
            await asyncio.Event().wait()
        elif path in ("/events", "/text"):
            kind = b"text/event-stream" if path == "/events" else b"text/plain"
            await begin(send, 200, kind)
            await more(send, b"data: 1\n\n")
            await asyncio.Event().wait()
        elif path == "/flood":
            await begin(send, 200, b"text/plain")
            while True:
                await more(send, b"x" * 65536)
                await asyncio.sleep(0)
        elif path == "/short":
            await begin(send, 200, b"text/event-stream")
            await more(send, b"data: 1\n\n")
            await asyncio.sleep(0.2)
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        elif path == "/page":
            await reply(send, 200, b"text/html; charset=utf-8", b"<p>page</p>")
        else:
            await reply(send, 200, b"application/json", b'{"ok": true}')

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for part in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{part}.complete"})


async def read(receive: Receive) -> tuple[bytes, bool]:
    """The body, and whether all of it came."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            return body, True
    return body, False


async def begin(send: Send, status: int, kind: bytes) -> None:
    """Begins a reply."""
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def more(send: Send, body: bytes) -> None:
    """Goes on with it."""
    message: Message = {"type": "http.response.body", "body": body, "more_body": True}
    await send(message)


async def reply(send: Send, status: int, kind: bytes, body: bytes) -> None:
    """A whole reply."""
    await begin(send, status, kind)
    await send({"type": "http.response.body", "body": body})


class Client:
    """One connection."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS, (source, 0))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, text: str | bytes) -> None:
        """Says this, as it is."""
        self._socket.sendall(text.encode() if isinstance(text, str) else text)

    def get(self, path: str) -> None:
        """Asks for a path, and keeps the connection."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def reply(self) -> Reply:
        """The next reply, to its end."""
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=headers, body=response.read())

    def line(self) -> bytes:
        """What has come by now, something at the least; nothing once it is closed."""
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        text = b""
        while piece := self.line():
            text += piece
        return text

    def close(self) -> None:
        """Goes away."""
        self._socket.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A server that runs in a thread."""

    port: int
    server: Server
    guard: Guard

    def client(self, source: str = "127.0.0.1") -> Client:
        """A new connection."""
        return Client(self.port, source)


@contextmanager
def served(
    app: Standing,
    settings: ServeSettings | None = None,
    *,
    bounds: SocketBounds | None = None,
    patience: Patience | None = None,
) -> Iterator[Running]:
    """Serves an app on a free port as long as it is needed."""
    settings = settings or ServeSettings(port=0, grace_seconds=0)
    guard = Guard(app, settings, patience)
    listener = bind("127.0.0.1", 0)
    server = Server(make_config(guard, settings, bounds), settings.grace_seconds)
    started = threading.Event()
    server.on_started = started.set
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(SECONDS)
        yield Running(port=listener.getsockname()[1], server=server, guard=guard)
    finally:
        server.should_exit = True
        thread.join()
