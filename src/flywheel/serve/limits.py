"""How much each may ask of the server: by key, by address, all together, and for how long.

A key has a bucket of requests that refills steadily, and so many requests open at a time. All
together, so many are worked on and the others wait, the keys by turns, so that nobody's crowd is
in another's way. Who is told to come again is told when. What one request may weigh, and how
slowly it may come in, is guard.py's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flywheel.serve.errors import ApiError
from flywheel.wheel.serving import ServeSettings

Clock = Callable[[], float]

BURST_SECONDS = 10
"""As many requests of one key may come at once as it may send in this time."""

GUESSES_PER_MINUTE = 20

_MAX_NAMES = 10_000
_MAX_NAME_CHARS = 100
_SLACK = 1e-6
"""Of a token: what adding up floating-point seconds may cost."""


class Buckets:
    """A bucket of tokens for each name: full at first, and refilled at a steady rate.

    What is kept of one is when it will be full again, and nothing once it is (the virtual
    scheduling form of the generic cell rate algorithm, ITU-T I.371).
    """

    def __init__(self, size: float, per_second: float, clock: Clock = time.monotonic) -> None:
        """
        Args:
            size: tokens in a full bucket, 1 at the least.
            clock: seconds that never run backwards.
        """
        self.size, self._per_second, self._clock = max(1.0, size), per_second, clock
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        """How many are kept: those that are not full, and a few that are."""
        return len(self._full_at)

    def left(self, name: str) -> float:
        """How many tokens there are."""
        return self.size - self.seconds_until_full(name) * self._per_second

    def take(self, name: str, num: int = 1) -> bool:
        """Takes tokens. Whether there were as many."""
        wanted = self._wanted(num)
        if self.left(name) < wanted - _SLACK:
            return False
        now = self._clock()
        full_at = max(now, self._full_at.pop(name, now)) + wanted / self._per_second
        self._forget(now)
        self._full_at[name] = full_at
        return True

    def seconds_until_one(self, name: str) -> float:
        """How long until there is a token; 0 where there is one."""
        return self.seconds_until(name, 1)

    def seconds_until(self, name: str, num: int) -> float:
        """How long until so many can be taken; 0 where they can be."""
        return max(0.0, (self._wanted(num) - self.left(name)) / self._per_second)

    def _wanted(self, num: int) -> float:
        """At most a bucket of them, less the one that let in whoever asks for many."""
        return min(num, max(1.0, self.size - 1))

    def seconds_until_full(self, name: str) -> float:
        """How long until the bucket is as at first."""
        return max(0.0, self._full_at.get(name, 0.0) - self._clock())

    def _forget(self, now: float) -> None:
        """Those that are full; and where too many are not, the one that was used longest ago."""
        while self._full_at:
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) < _MAX_NAMES:
                return
            del self._full_at[oldest]


class Limits:
    """Who is worked for, who waits, and who is told to come again."""

    def __init__(
        self, settings: ServeSettings, max_running: int = 64, *, clock: Clock = time.monotonic
    ) -> None:
        """
        Args:
            max_running: requests that are worked on at a time.
            clock: what the buckets refill by.
        """
        self._settings, self._max_running = settings, max_running
        per_second = settings.requests_per_minute / 60
        self._buckets = Buckets(per_second * BURST_SECONDS, per_second, clock)
        self._open: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self.num_running = 0
        self.num_waiting = 0

    def take(self, key: str, num: int = 1) -> None:
        """Counts a request of any kind against what its key may send.

        Args:
            num: as how many it counts; what holds many small tasks is as much work as they are.

        Raises:
            ApiError: 429, it has sent too many.
        """
        if num and not self._buckets.take(key, num):
            raise ApiError(
                429,
                f"This key may send {self._settings.requests_per_minute} requests a minute.",
                code="rate_limit_exceeded",
                retry_after=self._buckets.seconds_until(key, num),
            )

    @asynccontextmanager
    async def admitted(self, key: str) -> AsyncIterator[None]:
        """A place to work in, waited for where all are taken.

        Raises:
            ApiError: 429, too many requests of this key at a time; 503, too many wait already;
                504, waiting and working took longer than they may.
        """
        self._admit(key)
        self._open[key] = self._open.get(key, 0) + 1
        try:
            async with asyncio.timeout(self._settings.deadline_seconds) as deadline:
                await self._place(key)
                try:
                    yield
                finally:
                    self._pass_on()
        except TimeoutError as error:
            if not deadline.expired():
                raise
            seconds = self._settings.deadline_seconds
            raise ApiError(
                504, f"This took longer than {seconds:g} s.", code="deadline_exceeded"
            ) from error
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def headers(self, key: str) -> dict[str, str]:
        """What a key may still ask, as OpenAI tells it: `limit` at once, `reset` until it may."""
        return {
            "x-ratelimit-limit-requests": str(int(self._buckets.size)),
            "x-ratelimit-remaining-requests": str(int(self._buckets.left(key) + _SLACK)),
            "x-ratelimit-reset-requests": _duration(self._buckets.seconds_until_full(key)),
        }

    def _admit(self, key: str) -> None:
        """Lets a request in, or says why not."""
        if self._open.get(key, 0) >= self._settings.concurrent:
            raise ApiError(
                429,
                f"This key has {self._settings.concurrent} requests open; let one end first.",
                code="too_many_at_once",
                retry_after=1,
            )
        if self.num_running >= self._max_running and self.num_waiting >= self._settings.queue:
            raise ApiError(
                503, "Too many wait already; come again.", code="queue_full", retry_after=2
            )

    async def _place(self, key: str) -> None:
        if self.num_running < self._max_running:
            self.num_running += 1
            return
        given = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(given)
        self.num_waiting += 1
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():  # given in the moment of leaving
                self._pass_on()
            elif given in self._waiting.get(key, ()):
                self._leave(key, given)
            raise

    def _pass_on(self) -> None:
        """Gives a place that is free now to the first request of the key whose turn it is."""
        while self._waiting:
            key = next(iter(self._waiting))
            given = self._waiting[key][0]
            self._leave(key, given)
            if key in self._waiting:
                self._waiting[key] = self._waiting.pop(key)  # last in turn now
            if not given.cancelled():  # who is leaving has not left the queue yet
                given.set_result(None)
                return
        self.num_running -= 1

    def _leave(self, key: str, given: asyncio.Future[None]) -> None:
        waiting = self._waiting[key]
        waiting.remove(given)
        if not waiting:
            del self._waiting[key]
        self.num_waiting -= 1


class Guesses:
    """Wrong keys by the address that they come from."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._buckets = Buckets(GUESSES_PER_MINUTE, GUESSES_PER_MINUTE / 60, clock)

    def check(self, address: str) -> None:
        """Lets an address go on.

        Raises:
            ApiError: 429, it has sent too many wrong keys.
        """
        seconds = self._buckets.seconds_until_one(_network(address))
        if seconds > _SLACK:
            raise ApiError(
                429,
                "Too many wrong keys from this address.",
                code="too_many_guesses",
                retry_after=seconds,
            )

    def count(self, address: str) -> None:
        """Notes a wrong key."""
        self._buckets.take(_network(address))

    def wrong(self, address: str) -> None:
        """Notes a wrong key, where that is not one too many.

        Raises:
            ApiError: 429, it is.
        """
        self.check(address)
        self.count(address)


def _network(address: str) -> str:
    """What counts as one guesser: whoever has an IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_MAX_NAME_CHARS]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _duration(seconds: float) -> str:
    """As OpenAI writes it: "120ms", "7.5s", "6m0s"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:g}s"
