"""From a thread that answers to a client that reads: piece by piece, and stopped when it goes away.

An answer is a generator that runs on a thread (`Work`). Its pieces are awaited in batches, so that
a client that reads slowly, an engine that is quick, or many streams at once make fewer and larger
events. Whoever goes away is noticed at once (`while_listening`), and the engine's slot is free
again.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flywheel.engine.stopping import Stopping
from flywheel.errors import FlywheelError
from flywheel.serve.errors import ApiError, api_error

if TYPE_CHECKING:
    from flywheel.serve.service import Service

T = TypeVar("T")
R = TypeVar("R")

KEEP_ALIVE_SECONDS = 15.0
"""A comment so often, while there are no words yet: proxies hang up on silence."""

EVENTS_PER_SECOND = 200
"""Of all streams together, after the first of each: what comes meanwhile goes with the next. An
event takes about 0.15 ms of a core, and some more at a client on the same machine, which a model
on two cores would lack: 32 streams are told 6 times a second each, and one as soon as it has a
word."""

DONE = b"data: [DONE]\n\n"

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""`json.dumps` would make one for each event."""


def seconds_apart(service: Service) -> float:
    """The time between two events of one stream, as long as so many run as now."""
    return service.limits.num_running / EVENTS_PER_SECOND


class ClientGone(Exception):
    """Nobody reads the answer any more."""


class Work(Generic[T, R]):
    """A generator that runs on a thread of the service. Use it as a context manager."""

    def __init__(
        self,
        service: Service,
        make: Callable[[Stopping], Generator[T, None, R]],
        *,
        whole: bool = False,
    ) -> None:
        """
        Args:
            make: the generator; it should look whether it was stopped, and is closed if it was.
            whole: whether nobody wants its pieces before the end; then they come together.
        """
        self._service, self._make, self._is_whole = service, make, whole
        self._stopping = Stopping()
        self._lock = threading.Lock()
        self._items: list[T] = []
        self._is_over = False
        self._error: BaseException | None = None
        self._result: R | None = None
        # What follows is the loop's.
        self._has_news = self._has_ended = False
        self._told_at = -math.inf
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._service.threads.submit(self._run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Its thread may still wait for an engine; nobody waits for it here.
        self._stopping.stop()

    async def batches(self) -> AsyncGenerator[list[T], None]:
        """What has come since the last look, at least one item; an empty one keeps alive."""
        while True:
            with self._lock:
                items, self._items = self._items, []
                is_over = self._is_over
                self._has_news = False
            if items:
                yield items
                self._told_at = self._loop.time()
            if is_over:
                if self._error:
                    raise self._error
                return
            if not await self._comes():
                yield []

    async def result(self) -> R:
        """What the generator returned, once it has ended."""
        async for _ in self.batches():
            pass
        return cast(R, self._result)

    async def _comes(self) -> bool:
        """Whether something does that is to be told now, before silence has to be.

        By hand, since timeouts and events of asyncio take longer than the rest of an event.
        """
        loop = self._loop
        silence = loop.call_later(KEEP_ALIVE_SECONDS, self._wake)
        try:
            while not (self._has_ended or (self._has_news and self._pause() <= 0)):
                self._waiter = loop.create_future()
                pause = loop.call_later(self._pause(), self._wake) if self._has_news else None
                await self._waiter
                if pause is not None:
                    pause.cancel()
                elif not (self._has_news or self._has_ended):
                    return False
        finally:
            silence.cancel()
        return True

    def _pause(self) -> float:
        """Seconds until the next event."""
        return self._told_at + seconds_apart(self._service) - self._loop.time()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _on_news(self) -> None:
        self._has_news = True
        self._wake()

    def _on_end(self) -> None:
        self._has_ended = True
        self._wake()

    def _run(self) -> None:
        try:
            self._result = self._drive()
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                self._is_over = True
            self._tell(self._on_end)

    def _drive(self) -> R | None:
        generator = self._make(self._stopping)
        try:
            while not self._stopping.is_set:
                try:
                    item = next(generator)
                except StopIteration as end:
                    result: R = end.value
                    return result
                with self._lock:
                    is_first = not self._items
                    self._items.append(item)
                if is_first and not self._is_whole:
                    self._tell(self._on_news)
        finally:
            generator.close()
        return None

    def _tell(self, how: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(how)
        except RuntimeError:
            # The server has stopped; whoever waited is gone.
            self._stopping.stop()


async def while_listening(receive: Receive, answer: Coroutine[Any, Any, R]) -> R:
    """What `answer` returns, if the client is still there by then.

    Raises:
        ClientGone: it is not; the answer is cancelled.
    """
    answering = asyncio.current_task()
    assert answering is not None
    is_gone = False

    async def listen() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        answering.cancel()

    listening = asyncio.create_task(listen())
    try:
        return await answer
    except asyncio.CancelledError:
        if is_gone and not answering.uncancel():
            raise ClientGone from None
        raise
    finally:
        listening.cancel()


class EventStream(Response):
    """Server-sent events. The status is sent with the first event, so that what fails before it
    is an error as any other; what fails later ends the stream with an event that says so."""

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(None, headers={"X-Accel-Buffering": "no"} | (headers or {}))
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_listening(receive, self._send_in_time(send))
        except ClientGone:
            return

    async def _send_in_time(self, send: Send) -> None:
        try:
            await self._send(send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The events' own deadline came while an event waited for the client to read, where
            # they could not say so.
            error = ApiError(504, "This was read too slowly.", code="deadline_exceeded")
            event = event_of(error.body())
            await send({"type": "http.response.body", "body": event, "more_body": False})

    async def _send(self, send: Send) -> None:
        started = more = False
        async with aclosing(self._events) as events:
            try:
                async for event in events:
                    if not started:
                        await send(
                            {
                                "type": "http.response.start",
                                "status": 200,
                                "headers": self.raw_headers,
                            }
                        )
                        started = True
                    # The last one and the end of the reply are one write.
                    more = not event.endswith(DONE)
                    await send({"type": "http.response.body", "body": event, "more_body": more})
            except (ApiError, FlywheelError) as error:
                if not started:
                    raise
                told = error if isinstance(error, ApiError) else api_error(error)
                event = event_of(told.body())
                await send({"type": "http.response.body", "body": event, "more_body": True})
        if more:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_of(data: dict[str, Any]) -> bytes:
    """One event, as JSON."""
    text = _JSON.encode(data)
    return b"data: " + text.encode("utf-8", "backslashreplace") + b"\n\n"
