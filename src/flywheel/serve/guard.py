"""What stands in front of every route: who may speak to the server at all, and what goes back.

A request is looked at before anything works on it: by which name it calls the server and from
which page (a web page elsewhere can make a browser call any address), whether its head can be
read in one way only, and what its body is (bodies.py). Replies carry the headers that keep
browsers strict; a client that goes away ends the work for it, and a server that stops ends its
streams properly. Sockets are protocol.py's, keys auth.py's, rates limits.py's.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from flywheel.serve.bodies import (
    MAX_BODY_BYTES,
    Budget,
    Gone,
    Incoming,
    Patience,
    checked_form,
    checked_json,
)
from flywheel.serve.errors import ApiError
from flywheel.serve.heads import Head, names, origins

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flywheel.wheel.serving import ServeSettings

GUARD = "flywheel.guard"
"""What a server finds the guard by, in the state that the app gives it as it starts."""

UPLOADS = "/v1/documents"
"""The one path that files are sent to."""

_API = "/v1/"
"""What programs call. All other paths are pages, whose forms work without scripts, too."""
_MAX_FORM_BYTES = 512 * 1024
"""An answer of 20,000 Chinese characters, which a form writes with nine bytes each, and more."""
_SIGN_IN = "/signin"
_MAX_SIGN_IN_BYTES = 4 * 1024
"""Nobody is known yet who sends it."""

_BESIDE_FILES_BYTES = 4 * 2**20
"""What an upload's form may weigh beside its files. How large one may be is seen by who takes them
in (documents.py); here, only what could never be kept is refused."""

_STRICT = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""What every reply carries unless a route says otherwise."""
_NO_PAGE = b"default-src 'none'; frame-ancestors 'none'"
_PAGE = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    b"form-action 'self'; frame-ancestors 'none'"
)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    # OpenAI's own clients send headers of theirs. The star leaves out Authorization.
    (b"access-control-allow-headers", b"Authorization, Content-Type, *"),
    (b"access-control-max-age", b"600"),
)


class Guard:
    """The app behind what is checked in front of it. Wraps the whole app, its handlers included."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, patience: Patience | None = None
    ) -> None:
        self._app, self._patience = app, patience or Patience()
        self._names = names(settings)
        self._origins = origins(settings)
        self._max_upload_bytes = settings.upload_quota_megabytes * 2**20 + _BESIDE_FILES_BYTES
        self._budget = Budget()
        self._running: set[_Running] = set()
        self.refused: Counter[str] = Counter()
        """How many requests were refused here, by code."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            scope.setdefault("state", {})[GUARD] = self
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def end_all(self) -> None:
        """Ends what is under way: with an error event where it streams, or else with 503."""
        for running in list(self._running):
            running.end("stopping")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head(scope)
        incoming = Incoming(
            receive, self._patience, is_there=head.has_body, waits=b"expect" in head.values
        )
        reply = _Reply(send, self._reply_headers(head), incoming)
        running = _Running(reply)
        self._running.add(running)
        try:
            await self._admit(head, incoming, reply)
            if not reply.started:
                await self._answer(head, incoming, reply, running, receive)
        except Gone:
            pass
        except ApiError as error:
            if reply.started:
                raise
            self.refused[error.code or ""] += 1
            await incoming.linger()
            await reply.error(error)
        except asyncio.CancelledError:
            if running.why is None:
                raise
            if running.why == "stopping":
                await reply.end()
        finally:
            self._running.discard(running)

    async def _admit(self, head: Head, incoming: Incoming, reply: _Reply) -> None:
        """Lets a request in, or answers a browser that asks whether it may send one.

        Raises:
            ApiError: the head is not to be trusted, or says that the body cannot be taken.
        """
        head.check()
        if head.host not in self._names and head.host != head.own_address:
            raise ApiError(
                421,
                "The server is not called by this name. [serve] hosts in flywheel.toml lists more.",
                code="host_not_allowed",
            )
        if head.origin not in self._origins and not head.is_own_page:
            raise ApiError(
                403,
                "This page may not call the server. [serve] origins in flywheel.toml lists more.",
                code="origin_not_allowed",
            )
        if head.is_preflight and head.origin in self._origins:
            await reply.send(
                {"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)}
            )
            await reply.send({"type": "http.response.body"})
        elif head.has_body:
            incoming.limit(self._max_bytes(head), head.content_length)

    def _max_bytes(self, head: Head) -> int:
        """How large a body may be.

        Raises:
            ApiError: 415, it may not be there at all as what it is.
        """
        if b"content-encoding" in head.values:
            raise ApiError(415, "Send the body as it is, not compressed.", code="media_type")
        if self._is_upload(head):
            return self._max_upload_bytes
        if self._is_form(head):
            return _MAX_SIGN_IN_BYTES if head.scope["path"] == _SIGN_IN else _MAX_FORM_BYTES
        if head.media_type != b"application/json":
            raise ApiError(
                415,
                f"A body is application/json; a file for {UPLOADS} is multipart/form-data.",
                code="media_type",
            )
        return MAX_BODY_BYTES

    def _is_upload(self, head: Head) -> bool:
        place = head.scope["method"], head.scope["path"]
        return place == ("POST", UPLOADS) and head.media_type == b"multipart/form-data"

    def _is_form(self, head: Head) -> bool:
        is_encoded = head.media_type == b"application/x-www-form-urlencoded"
        return is_encoded and not head.scope["path"].startswith(_API)

    async def _answer(
        self, head: Head, incoming: Incoming, reply: _Reply, running: _Running, receive: Receive
    ) -> None:
        """Lets the app reply; who has gone away is noticed, unless a body is still to be read."""
        source: Receive = incoming.asgi
        watch: asyncio.Task[None] | None = None
        if not self._is_upload(head):
            body = await incoming.whole(self._budget) if head.has_body else b""
            if head.has_body:
                body = checked_form(body) if self._is_form(head) else checked_json(body)
            gone = asyncio.Event()
            source = _given(body, gone)
            watch = asyncio.create_task(_watch(receive, gone, running))
        try:
            await self._app(head.scope, source, reply.send)
        except ApiError:
            raise
        except Exception:
            if incoming.broken is None:
                if not reply.started:
                    await reply.error(_defect())
                raise
        finally:
            if watch:
                watch.cancel()
        if incoming.broken and not reply.started:
            raise incoming.broken

    def _reply_headers(self, head: Head) -> list[tuple[bytes, bytes]]:
        """What browsers are told about pages elsewhere."""
        if not self._origins:
            return []
        headers = [(b"vary", b"Origin")]
        if allowed := self._origins.get(head.origin):
            headers += [
                (b"access-control-allow-origin", allowed),
                (b"access-control-expose-headers", b"*"),
            ]
        return headers


class _Reply:
    """What goes back: with the headers that all replies have, and whether it has begun, or ended.

    What an app replies to a body that was cut off is held back.
    """

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]], incoming: Incoming) -> None:
        self._send, self._headers, self._incoming = send, headers, incoming
        self._streams_events = False
        self.started = False
        self.complete = False

    async def send(self, message: Message) -> None:
        """ASGI's."""
        if message["type"] == "http.response.start":
            if self._incoming.broken:
                return
            message = self._completed(message)
            self.started = True
        elif message["type"] == "http.response.body":
            if not self.started:
                return
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def error(self, error: ApiError) -> None:
        """An error as the whole reply."""
        response = error.response()
        if not self._incoming.complete:
            response.headers["Connection"] = "close"
        await self._send(
            self._completed(
                {
                    "type": "http.response.start",
                    "status": response.status_code,
                    "headers": response.raw_headers,
                }
            )
        )
        self.started = self.complete = True
        await self._send({"type": "http.response.body", "body": response.body})

    async def end(self) -> None:
        """Ends it, since the server stops."""
        error = ApiError(
            503, "The server is stopping; ask again in a moment.", code="stopping", retry_after=5
        )
        if not self.started:
            await self.error(error)
        elif self._streams_events and not self.complete:
            event = b"\n\ndata: " + json.dumps(error.body()).encode() + b"\n\n"
            await self.send({"type": "http.response.body", "body": event})

    def _completed(self, message: Message) -> Message:
        headers = list(message.get("headers", []))
        sent = {name.lower(): value for name, value in headers}
        kind = sent.get(b"content-type", b"").lower()
        self._streams_events = kind.startswith(b"text/event-stream")
        policy = _PAGE if kind.startswith(b"text/html") else _NO_PAGE
        strict = _STRICT | {b"content-security-policy": policy}
        headers += [each for each in strict.items() if each[0] not in sent]
        return {**message, "headers": headers + self._headers}


class _Running:
    """A request under way, in the task that made this."""

    def __init__(self, reply: _Reply) -> None:
        self._task, self._reply = asyncio.current_task(), reply
        self.why: Literal["gone", "stopping"] | None = None

    def end(self, why: Literal["gone", "stopping"]) -> None:
        """Ends it, unless all of the reply is sent."""
        if self._task is not None and not self._reply.complete and self.why is None:
            self.why = why
            self._task.cancel()


def _given(body: bytes, gone: asyncio.Event) -> Receive:
    """What an app receives of a body that has been read."""
    pieces: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        if piece := next(pieces, None):
            return piece
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def _watch(receive: Receive, gone: asyncio.Event, running: _Running) -> None:
    """Ends the work for a client that has gone away. (Servers say so after a whole reply, too.)"""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
    running.end("gone")


def _defect() -> ApiError:
    """The traceback goes to the log, never to the caller."""
    return ApiError(500, "The server met a defect of its own; its log says more.")
