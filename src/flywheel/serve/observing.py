"""Every request, counted, timed and logged: what came, what became of it, and who asked.

The log holds one JSON object a line, and no text of a question, an answer or a document. It is
told by the route's pattern, not by the path, which anybody may write anything into.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from flywheel.serve.metrics import Metrics

LOG = logging.getLogger("flywheel.requests")
REQUEST_ID = b"x-request-id"

_UNKNOWN = "(none)"


class Observed:
    """An app whose requests are counted and logged."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id = uuid.uuid4().hex
        started = time.perf_counter()
        status = 0
        is_awaited = False

        async def noting(message: Message) -> None:
            nonlocal status, is_awaited
            if message["type"] == "http.response.start":
                status = message["status"]
                is_awaited = _streams_events(message)
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, id.encode())]
            elif is_awaited:
                is_awaited = False
                self._metrics.first_byte.observe(time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, id, status, time.perf_counter() - started)

    def _note(self, scope: Scope, id: str, status: int, seconds: float) -> None:
        """A status of 0 is of a client that went away first."""
        route = getattr(scope.get("route"), "path", _UNKNOWN)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if LOG.isEnabledFor(logging.INFO):
            caller = scope.get("state", {}).get("caller")
            said = {
                "id": id,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 1),
                "key": caller.key if caller else None,
                "address": scope["client"][0] if scope.get("client") else None,
            }
            LOG.info("request", extra={"said": said})


def _streams_events(start: Message) -> bool:
    sent = dict(start.get("headers", ()))
    kind: bytes = sent.get(b"content-type", b"")
    return kind.startswith(b"text/event-stream")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line: no text of a caller's breaks out of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One object."""
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "log": record.name,
        }
        said = getattr(record, "said", None)
        line |= said if said is not None else {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def log_to_stderr() -> None:
    """Has everything that is logged written to stderr, for whatever collects it there."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("flywheel").setLevel(logging.INFO)
    # It warns of each damaged form, which the caller is told anyway.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
