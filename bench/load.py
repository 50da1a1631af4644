"""Load for a server that speaks the OpenAI protocol, from a process of its own.

    python bench/load.py PLAN.json RESULT.json

Open loop: requests come by the clock, whatever became of those before, and the time of each counts
from when it was due, so that a server which falls behind does not hide it by being asked less. A
request waits for one of the open connections where all are taken; that counts too.

Sockets and nothing else, since whoever loads a small machine shares it: 0.06 ms of a core for an
answer of ten events. The due times are kept to about 0.1 ms: `select` waits by the microsecond,
and asyncio's loops by the millisecond.
"""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Literal

PATIENCE_SECONDS = 20.0
"""How long after the last due time the last replies may take."""

_CONTENT = b'"content":"'
_CHUNKED_END = b"\r\n0\r\n\r\n"
_STREAM_ENDS = (b"data: [DONE]", b'"finish_reason":"stop"')
"""Not all servers send the first."""
_INTERACTION = b'"interaction":"'

Kind = Literal["question", "feedback"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is asked, when, and of whom."""

    host: str
    port: int
    path: str = "/v1/chat/completions"
    keys: tuple[str, ...] = ()
    """One a connection, in turns; none are sent where there are none."""
    bodies: tuple[str, ...]
    """JSON, one a request, from the first again after the last."""
    num_connections: int = 64
    due: tuple[float, ...]
    """When each request is due, in seconds from the start."""
    feedback_every: int = 0
    """After so many answers comes an act on the last one of them; 0: never."""


@dataclass(slots=True)
class Reply:
    """One request and what came back, in seconds from when it was due."""

    kind: Kind
    due: float
    """Since the start."""
    first: float = 0.0
    """Until the first content, where it is streamed; until the end elsewhere."""
    last: float = 0.0
    status: int = 0
    """0: none came."""
    size_bytes: int = 0
    num_events: int = 0
    whole: bool = False
    """Whether it ended as it should."""
    num_tokens: int = 0
    """As usage tells them, where it was asked for."""
    cached: str = ""
    """How the answer was known, where it was."""
    act: str = ""
    """The id of the act of feedback that was acknowledged."""
    said: str = ""
    """Of an error, its beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a plan."""

    replies: tuple[Reply, ...]
    seconds: float
    """From the first due time to the last reply."""
    cpu_seconds: float
    """Of this process."""

    def of(self, kind: Kind) -> list[Reply]:
        """The replies to one kind of request."""
        return [each for each in self.replies if each.kind == kind]

    @property
    def errors(self) -> list[Reply]:
        """Those that are none, or not whole."""
        return [each for each in self.replies if each.status != 200 or not each.whole]


def percentile(values: Sequence[float], at: float) -> float:
    """That part, in percent, of the values is no higher."""
    return quantiles(values, n=1000, method="inclusive")[round(10 * at) - 1]


def by_chance(rate: float, seconds: float, seed: int) -> tuple[float, ...]:
    """When requests are due that come so many a second on average, by chance (Poisson)."""
    generator = random.Random(seed)
    due: list[float] = []
    at = generator.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += generator.expovariate(rate)
    return tuple(due)


def read_result(file: Path) -> Result:
    """What `main` wrote."""
    data = json.loads(file.read_text(encoding="utf-8"))
    return Result(**data | {"replies": tuple(Reply(**each) for each in data["replies"])})


@dataclass(slots=True)
class _Connection:
    """One socket, and the request on it."""

    socket: socket.socket
    key: str
    reply: Reply | None = None
    received: bytearray = field(default_factory=bytearray)
    seen: int = 0
    """How much of what was received was looked at for content."""
    length: int | None = None
    """Of the whole reply where its head says so."""
    head: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    kind: Kind
    due: float
    path: str
    body: bytes
    key: str | None = None
    """Whose it is; None for anybody's."""


class _Load:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bodies = [each.encode() for each in plan.bodies]
        self._next = 0
        self._replies: list[Reply] = []
        self._waiting: deque[_Asked] = deque()
        self._answers = 0
        keys = plan.keys or ("",)
        self._idle = deque(
            self._connected(keys[i % len(keys)]) for i in range(plan.num_connections)
        )
        self._busy: dict[int, _Connection] = {}

    def run(self) -> Result:
        """Sends all that is due, and reads until the end."""
        cpu = _cpu_seconds()
        self._start = time.perf_counter()
        self._run()
        seconds = time.perf_counter() - self._start
        for connection in self._busy.values():
            connection.reply.said = "no end came"  # type: ignore[union-attr]
            self._replies.append(connection.reply)  # type: ignore[arg-type]
        for asked in self._waiting:
            self._replies.append(Reply(kind=asked.kind, due=asked.due, said="never sent"))
        for each in (*self._idle, *self._busy.values()):
            each.socket.close()
        return Result(
            replies=tuple(self._replies), seconds=seconds, cpu_seconds=_cpu_seconds() - cpu
        )

    def _run(self) -> None:
        due = iter(self._plan.due)
        upcoming = next(due, None)
        until = max(self._plan.due) + PATIENCE_SECONDS
        while upcoming is not None or self._busy or self._waiting:
            now = time.perf_counter() - self._start
            while upcoming is not None and upcoming <= now:
                self._waiting.append(self._question(upcoming))
                upcoming = next(due, None)
            self._send_waiting()
            if upcoming is None and now > until:
                return
            self._read((until if upcoming is None else upcoming) - now)

    def _question(self, due: float) -> _Asked:
        body = self._bodies[self._next % len(self._bodies)]
        self._next += 1
        return _Asked("question", due, self._plan.path, body)

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            asked = self._waiting[0]
            connection = self._idle[0]
            if asked.key is not None:
                own = (each for each in self._idle if each.key == asked.key)
                connection = next(own, connection)
            self._waiting.popleft()
            self._idle.remove(connection)
            self._send(connection, asked)

    def _send(self, connection: _Connection, asked: _Asked) -> None:
        key = asked.key or connection.key
        authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        head = (
            f"POST {asked.path} HTTP/1.1\r\nHost: {self._plan.host}:{self._plan.port}\r\n"
            f"{authorization}Content-Type: application/json\r\n"
            f"Content-Length: {len(asked.body)}\r\n\r\n"
        )
        connection.reply = Reply(kind=asked.kind, due=asked.due)
        connection.received.clear()
        connection.seen = connection.head = 0
        connection.length = None
        self._busy[connection.socket.fileno()] = connection
        try:
            connection.socket.send(head.encode() + asked.body)
        except OSError as error:
            self._broken(connection, str(error))

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select(list(self._busy), (), (), max(0.0, seconds))
        for number in ready:
            connection = self._busy[number]
            try:
                data = connection.socket.recv(262_144)
            except OSError as error:
                self._broken(connection, str(error))
                continue
            if not data:
                self._broken(connection, "the server hung up")
                continue
            connection.received += data
            self._look(connection)

    def _look(self, connection: _Connection) -> None:
        reply, received = connection.reply, connection.received
        assert reply is not None
        now = time.perf_counter() - self._start
        if not connection.head:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            connection.head = end + 4
            head = bytes(received[: end + 2]).lower()
            reply.status = int(head[9:12])
            if (place := head.find(b"content-length:")) >= 0:
                length = head[place + 15 : head.index(b"\r\n", place)]
                connection.length = connection.head + int(length)
        if not reply.first and self._has_content(connection):
            reply.first = now - reply.due
        if connection.length is None:
            if not received.endswith(_CHUNKED_END):
                return
            reply.whole = any(mark in received for mark in _STREAM_ENDS)
        elif len(received) < connection.length:
            return
        else:
            reply.whole = True
        self._done(connection, now)

    def _has_content(self, connection: _Connection) -> bool:
        received, start = connection.received, max(connection.seen - len(_CONTENT), 0)
        connection.seen = len(received)
        while (place := received.find(_CONTENT, start)) >= 0:
            start = place + len(_CONTENT)
            if start >= len(received):
                connection.seen = place
                return False
            if received[start : start + 1] != b'"':
                return True
        return False

    def _done(self, connection: _Connection, now: float) -> None:
        reply = connection.reply
        assert reply is not None
        reply.last = now - reply.due
        reply.first = reply.first or reply.last
        reply.size_bytes = len(connection.received)
        reply.num_events = connection.received.count(b"data: ")
        body = bytes(connection.received[connection.head :])
        if reply.status != 200:
            reply.said = body[:300].decode("utf-8", "replace")
        self._replies.append(reply)
        self._free(connection)
        if reply.status != 200:
            return
        if reply.kind == "feedback":
            reply.act = _field(body, b'"id":"')
            return
        reply.num_tokens = int(_field(body, b'"completion_tokens":', b",") or 0)
        reply.cached = _field(body, b'"cached":"')
        self._answers += 1
        every = self._plan.feedback_every
        if every and self._answers % every == 0 and (id := _field(body, _INTERACTION)):
            act = {"kind": "up", "interaction": id, "candidate": 0}
            self._waiting.appendleft(
                _Asked("feedback", now, "/v1/feedback", json.dumps(act).encode(), connection.key)
            )

    def _broken(self, connection: _Connection, why: str) -> None:
        reply = connection.reply
        assert reply is not None
        reply.said = why
        reply.last = reply.first = time.perf_counter() - self._start - reply.due
        self._replies.append(reply)
        self._free(connection)
        connection.socket.close()
        self._idle.remove(connection)
        self._idle.append(self._connected(connection.key))

    def _free(self, connection: _Connection) -> None:
        self._busy.pop(connection.socket.fileno(), None)
        connection.reply = None
        self._idle.append(connection)

    def _connected(self, key: str) -> _Connection:
        opened = socket.create_connection((self._plan.host, self._plan.port), timeout=30)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Connection(socket=opened, key=key)


def _field(body: bytes, name: bytes, end: bytes = b'"') -> str:
    place = body.find(name)
    start = place + len(name)
    return "" if place < 0 else body[start : body.index(end, start)].decode()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    plan_file, result_file = map(Path, sys.argv[1:3])
    data: dict[str, Any] = json.loads(plan_file.read_text(encoding="utf-8"))
    plan = Plan(**data | {name: tuple(data[name]) for name in ("keys", "bodies", "due")})
    result = _Load(plan).run()
    result_file.write_text(json.dumps(asdict(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
