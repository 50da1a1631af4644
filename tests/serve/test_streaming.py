"""From a thread to a client: in order, together where it is quick, as long as it is read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from flywheel.engine.stopping import Stopping
from flywheel.errors import StoreError
from flywheel.serve import streaming
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Service
from flywheel.serve.streaming import (
    DONE,
    ClientGone,
    EventStream,
    Work,
    event_of,
    while_listening,
)

R = TypeVar("R")
Make = Callable[[Stopping], Generator[str, None, int]]

TOO_LONG = 20.0


@pytest.fixture
def service() -> Iterator[Service]:
    """What of a service a stream needs; one stream runs."""
    with ThreadPoolExecutor(2) as threads:
        made: Any = SimpleNamespace(threads=threads, limits=SimpleNamespace(num_running=1))
        yield made


def run(awaited: Awaitable[R]) -> R:
    """What it comes to; whatever hangs fails."""

    async def within_a_time() -> R:
        return await asyncio.wait_for(awaited, TOO_LONG)

    return asyncio.run(within_a_time())


async def everything(
    service: Service, make: Make, *, whole: bool = False
) -> tuple[list[list[str]], int]:
    async with Work(service, make, whole=whole) as work:
        batches = [batch async for batch in work.batches()]
        return batches, await work.result()


def test_pieces_come_in_order_and_what_they_came_to_at_the_end(service: Service) -> None:
    def count(stopping: Stopping) -> Generator[str, None, int]:
        yield from ("one", "二", "three")
        return 3

    batches, number = run(everything(service, count))
    assert [piece for batch in batches for piece in batch] == ["one", "二", "three"]
    assert all(batches)
    assert number == 3


def test_where_only_the_whole_is_wanted_its_pieces_come_together(service: Service) -> None:
    def count(stopping: Stopping) -> Generator[str, None, int]:
        yield from ("one", "二", "three")
        return 3

    assert run(everything(service, count, whole=True)) == ([["one", "二", "three"]], 3)


def test_an_error_comes_behind_what_was_said_before_it(service: Service) -> None:
    def fail(stopping: Stopping) -> Generator[str, None, int]:
        yield "one"
        raise StoreError("The disk is full.")

    heard: list[str] = []

    async def listen() -> None:
        async with Work(service, fail) as work:
            async for batch in work.batches():
                heard.extend(batch)

    with pytest.raises(StoreError):
        run(listen())
    assert heard == ["one"]


def test_of_many_streams_the_first_piece_comes_at_once_and_the_others_together(
    service: Service,
) -> None:
    service.limits.num_running = 10**9  # so that nothing but the end makes the next batch
    told = threading.Event()

    def count(stopping: Stopping) -> Generator[str, None, int]:
        yield "one"
        assert told.wait(TOO_LONG)
        yield from ("two", "three", "four")
        return 4

    batches: list[list[str]] = []

    async def listen() -> None:
        async with Work(service, count) as work:
            async for batch in work.batches():
                batches.append(batch)
                told.set()

    run(listen())
    assert batches == [["one"], ["two", "three", "four"]]


def test_silence_is_told_as_such(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_SECONDS", 0.001)
    heard = threading.Event()

    def think(stopping: Stopping) -> Generator[str, None, int]:
        assert heard.wait(TOO_LONG)
        yield "at last"
        return 1

    batches: list[list[str]] = []

    async def listen() -> None:
        async with Work(service, think) as work:
            async for batch in work.batches():
                batches.append(batch)
                heard.set()

    run(listen())
    assert batches[0] == []
    assert [batch for batch in batches if batch] == [["at last"]]


def test_whoever_leaves_ends_the_work(service: Service) -> None:
    closed = threading.Event()

    def talk(stopping: Stopping) -> Generator[str, None, int]:
        try:
            while True:
                yield "and "
        finally:
            closed.set()

    async def leave() -> None:
        async with Work(service, talk) as work:
            async for _ in work.batches():
                return

    run(leave())
    assert closed.wait(TOO_LONG)


async def silent() -> dict[str, Any]:
    """A client that waits for the answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> dict[str, Any]:
    """A client that has sent all and left."""
    await asyncio.sleep(0)
    return {"type": "http.disconnect"}


def test_an_answer_is_given_while_somebody_listens() -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "拨动"

    assert run(while_listening(silent, answer())) == "拨动"


def test_an_answer_that_nobody_waits_for_is_ended() -> None:
    ended = False

    async def answer() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def client_leaves() -> int:
        with pytest.raises(ClientGone):
            await while_listening(gone, answer())
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert run(client_leaves()) == 0
    assert ended


def test_who_ends_an_answer_from_outside_ends_it() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(while_listening(silent, asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())


def sent(events: Callable[[], AsyncGenerator[bytes, None]]) -> list[dict[str, Any]]:
    """What a stream of events sends."""
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    stream = EventStream(events(), {"X-Of": "this"})
    run(stream({"type": "http"}, silent, send))
    return messages


def test_events_begin_with_the_head_and_the_last_one_ends_the_reply() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield event_of({"text": "锁\ud800"})
        yield event_of({}) + DONE

    head, *bodies = sent(events)
    assert (head["type"], head["status"]) == ("http.response.start", 200)
    headers = dict(head["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-of"] == b"this"
    assert b"content-length" not in headers
    assert [body["more_body"] for body in bodies] == [True, False]
    first, last = (body["body"] for body in bodies)
    assert first == 'data: {"text":"锁\\ud800"}\n\n'.encode()
    assert last == b"data: {}\n\ndata: [DONE]\n\n"


def test_what_fails_before_the_first_event_is_an_error_as_any_other() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        raise ApiError(404, "There is no such model.")
        yield b""

    with pytest.raises(ApiError):
        sent(events)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreError("The disk is full."), "server_error"),
        (ApiError(429, "Too many."), "rate_limit_error"),
    ],
)
def test_what_fails_later_is_told_in_the_stream_which_ends(error: Exception, kind: str) -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield event_of({"text": "one"})
        raise error

    _, first, told, end = sent(events)
    assert json.loads(told["body"].removeprefix(b"data: "))["error"]["type"] == kind
    assert (first["more_body"], told["more_body"]) == (True, True)
    assert (end["body"], end["more_body"]) == (b"", False)


def test_a_deadline_that_comes_while_nobody_reads_is_told_as_the_last_event() -> None:
    sent: list[dict[str, Any]] = []

    async def read_slowly() -> None:
        stuck = asyncio.Event()

        async def events() -> AsyncGenerator[bytes, None]:
            async with asyncio.timeout(0.01):
                yield b"data: 1\n\n"
                yield b"data: 2\n\n"

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body") == b"data: 2\n\n":
                await stuck.wait()

        async def receive() -> Any:
            await stuck.wait()

        await EventStream(events())({"type": "http"}, receive, send)

    run(read_slowly())
    assert [each.get("body") for each in sent[1:3]] == [b"data: 1\n\n", b"data: 2\n\n"]
    assert b"deadline_exceeded" in sent[-1]["body"] and not sent[-1]["more_body"]
