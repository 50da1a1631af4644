"""Buckets refill steadily, keys take turns, who leaves frees a place, and memory has a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.serve import limits as limits_module
from flywheel.serve.errors import ApiError
from flywheel.serve.limits import BURST_SECONDS, Buckets, Guesses, Limits
from flywheel.wheel.serving import ServeSettings


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Requests:
    """Requests under way: each holds its place until it is let go."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.working: list[str] = []
        """In the order in which they got a place."""

    async def send(self, *names: str) -> None:
        """Sends them one after another. A name is the key, and what tells requests apart."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._request(name))
            await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await settled()

    async def _request(self, name: str) -> None:
        async with self._limits.admitted(name.partition(" ")[0]):
            self.working.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    """Lets whoever can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@given(
    size=st.integers(1, 50),
    per_second=st.floats(0.1, 100),
    steps=st.lists(st.floats(0, 20), max_size=60),
)
def test_in_no_stretch_of_time_are_there_more_tokens_than_a_bucket_and_what_refilled(
    size: int, per_second: float, steps: list[float]
) -> None:
    clock = Clock()
    buckets = Buckets(size, per_second, clock)
    taken = []
    for step in steps:
        clock.now += step
        while buckets.take("key"):
            taken.append(clock.now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            seconds = taken[last] - taken[first]
            assert last - first + 1 <= size + seconds * per_second + 1e-3


@given(size=st.integers(1, 50), per_second=st.floats(0.1, 100), step=st.floats(0, 1000))
def test_an_emptied_bucket_refills_as_fast_as_it_says(
    size: int, per_second: float, step: float
) -> None:
    clock = Clock()
    buckets = Buckets(size, per_second, clock)
    while buckets.take("key"):
        pass
    clock.now += step
    assert buckets.left("key") == pytest.approx(min(size, step * per_second), abs=1e-3)
    clock.now += buckets.seconds_until_one("key")
    assert buckets.take("key")
    clock.now += buckets.seconds_until_full("key")
    assert sum(buckets.take("key") for _ in range(size + 1)) == size


def test_buckets_are_forgotten_once_they_are_full_or_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits_module, "_MAX_NAMES", 100)
    clock = Clock()
    buckets = Buckets(10, 1, clock)
    for number in range(1000):
        buckets.take(f"key {number}")
    assert len(buckets) == 100
    clock.now += 10
    buckets.take("one more")
    assert len(buckets) == 1


def test_a_key_is_told_when_to_come_again_and_others_are_not_hindered() -> None:
    async def scenario() -> None:
        clock = Clock()
        limits = Limits(ServeSettings(requests_per_minute=60), clock=clock)
        for _ in range(BURST_SECONDS):
            limits.take("a")
        with pytest.raises(ApiError) as refused:
            limits.take("a")
        assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
        assert refused.value.retry_after == pytest.approx(1)
        assert limits.headers("a") == {
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "10s",
        }
        limits.take("b")
        assert limits.headers("b")["x-ratelimit-remaining-requests"] == "9"
        clock.now += 1
        limits.take("a")

    run(scenario)


def test_durations_are_written_as_openai_writes_them() -> None:
    written = {seconds: limits_module._duration(seconds) for seconds in (0, 0.12, 7.5, 60, 366)}
    assert written == {0: "0ms", 0.12: "120ms", 7.5: "7.5s", 60: "1m0s", 366: "6m6s"}


def test_a_key_has_only_so_many_requests_open_the_waiting_included() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(concurrent=2), max_running=1)
        requests = Requests(limits)
        await requests.send("a 1", "a 2", "a 3")
        refused = requests.tasks["a 3"].exception()
        assert isinstance(refused, ApiError)
        assert (refused.status, refused.code) == (429, "too_many_at_once")
        await requests.end("a 1")
        await requests.send("a 4")
        for name in ("a 2", "a 4"):
            await requests.end(name)
        assert requests.working == ["a 1", "a 2", "a 4"]

    run(scenario)


def test_a_full_queue_refuses() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(queue=1), max_running=1, clock=Clock())
        requests = Requests(limits)
        await requests.send("a", "b", "c")
        refused = requests.tasks["c"].exception()
        assert isinstance(refused, ApiError)
        assert (refused.status, refused.code) == (503, "queue_full")
        assert refused.headers()["Retry-After"]
        await requests.end("a")
        await requests.end("b")

    run(scenario)


def test_keys_take_turns_and_within_a_key_the_first_is_first() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(), max_running=1)
        requests = Requests(limits)
        await requests.send("a 0", "a 1", "a 2", "a 3", "b 1", "b 2", "c 1")
        assert (limits.num_running, limits.num_waiting) == (1, 6)
        for number in range(7):
            await requests.end(requests.working[number])
        assert requests.working == ["a 0", "a 1", "b 1", "c 1", "a 2", "b 2", "a 3"]
        assert (limits.num_running, limits.num_waiting) == (0, 0)

    run(scenario)


def test_who_goes_away_frees_the_place_waiting_or_working() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(), max_running=1)
        requests = Requests(limits)
        await requests.send("a 1", "a 2", "b 1", "c 1")
        requests.tasks["a 2"].cancel()
        await settled()
        assert limits.num_waiting == 2
        requests.tasks["a 1"].cancel()
        await settled()
        assert requests.working == ["a 1", "b 1"]
        await requests.end("b 1")
        await requests.end("c 1")
        assert (limits.num_running, limits.num_waiting) == (0, 0)
        assert not limits._open

    run(scenario)


def test_who_goes_away_in_the_moment_in_which_it_is_given_a_place_passes_it_on() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(), max_running=1)
        requests = Requests(limits)
        await requests.send("a", "b", "c")
        requests._ends["a"].set()
        await requests.tasks["a"]  # b has been given the place, and has not run since
        requests.tasks["b"].cancel()
        await settled()
        assert requests.tasks["b"].cancelled()
        await requests.end("c")
        assert (limits.num_running, limits.num_waiting) == (0, 0)

    run(scenario)


def test_nobody_who_is_leaving_is_given_a_place() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(), max_running=1)
        requests = Requests(limits)
        await requests.send("a", "b 1", "b 2", "c")
        requests._ends["a"].set()  # a runs first, and b 1 is leaving when it does
        requests.tasks["b 1"].cancel()
        await settled()
        assert requests.working == ["a", "c"]
        await requests.end("c")
        await requests.end("b 2")
        assert (limits.num_running, limits.num_waiting) == (0, 0)

    run(scenario)


def test_the_deadline_ends_who_works_and_who_waits() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(deadline_seconds=0.05), max_running=1)
        requests = Requests(limits)
        await requests.send("a", "b")
        for task in requests.tasks.values():
            with pytest.raises(ApiError) as late:
                await task
            assert (late.value.status, late.value.code) == (504, "deadline_exceeded")
        assert (limits.num_running, limits.num_waiting) == (0, 0)

    run(scenario)


def test_an_error_of_the_work_itself_stays_what_it_is() -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings())
        with pytest.raises(TimeoutError, match="an engine's"):
            async with limits.admitted("a"):
                raise TimeoutError("an engine's")
        assert limits.num_running == 0

    run(scenario)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["send", "end", "go"]))))
def test_whatever_comes_and_goes_no_place_is_lost_or_given_twice(
    acts: list[tuple[str, str]],
) -> None:
    async def scenario() -> None:
        limits = Limits(ServeSettings(queue=4, concurrent=3), max_running=2)
        requests = Requests(limits)
        for number, (key, act) in enumerate(acts):
            if act == "send":
                await requests.send(f"{key} {number}")
                continue
            mine = [
                name for name, task in requests.tasks.items() if name[0] == key and not task.done()
            ]
            if mine and act == "end" and mine[0] in requests.working:
                await requests.end(mine[0])
            elif mine:
                requests.tasks[mine[-1]].cancel()
                await settled()
            assert limits.num_running <= 2
            assert limits.num_waiting == 0 or limits.num_running == 2
        for task in requests.tasks.values():
            task.cancel()
            await settled()
        await asyncio.gather(*requests.tasks.values(), return_exceptions=True)
        assert (limits.num_running, limits.num_waiting) == (0, 0)
        assert not limits._open and not limits._waiting

    run(scenario)


def test_twenty_wrong_keys_a_minute_and_not_more() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(20):
        guesses.check("192.0.2.1")
        guesses.count("192.0.2.1")
    with pytest.raises(ApiError) as refused:
        guesses.check("192.0.2.1")
    assert (refused.value.status, refused.value.code) == (429, "too_many_guesses")
    assert refused.value.retry_after == pytest.approx(3)
    guesses.check("192.0.2.2")
    clock.now += 3
    guesses.check("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "192.0.2.1", False),
        ("x" * 5000, "x" * 6000, True),
    ],
)
def test_a_guesser_is_an_ipv4_address_or_an_ipv6_network(one: str, other: str, same: bool) -> None:
    guesses = Guesses(Clock())
    for _ in range(20):
        guesses.count(one)
    if same:
        with pytest.raises(ApiError):
            guesses.check(other)
    else:
        guesses.check(other)
