"""Requests as bytes that no client means, what comes back, and how long it takes.

Heads that can be read in two ways, lengths that are none, chunks, JSON that is deep, huge, half or
of another encoding, forms whose boundaries lie, requests with bytes flipped or cut, and noise. For
bench/fuzz.py and the tests; what the OpenAPI document allows is explored.py's.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flywheel.records import Role

HANG_SECONDS = 20.0
"""An answer that took longer never came."""
QUESTIONS = ("Where is the child lock?", "儿童锁在哪里？", "And in winter?", "那冬天呢？")


@dataclass(slots=True)
class Tally:
    """What came of many requests."""

    num: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    """0 is a connection that was closed without a word."""
    slowest: tuple[float, str] = (0.0, "")
    """Seconds, and of what."""
    failures: list[str] = field(default_factory=list)

    def count(self, status: int, seconds: float, what: str) -> None:
        """Notes an answer."""
        self.num += 1
        self.by_status[status] += 1
        self.slowest = max(self.slowest, (seconds, what))
        if seconds > HANG_SECONDS:
            self.failures.append(f"{what}: no answer in {HANG_SECONDS:g} s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Bytes that are sent to a new connection, one piece after the other."""

    kind: str
    pieces: tuple[bytes, ...]


ODD_ATOMS: tuple[bytes, ...] = (
    b"null", b"true", b"0", b"-0", b"1e308", b"1e400", b"-1E+999999999", b"9" * 400, b"1" * 65,
    b"0.1", b"NaN", b"-Infinity", b'""', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\xff\xfe"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\x00"', b'"\x1f"', b'"\\x41"', b'"\\u12"',
    '"\u202e\u2066\u200b\ufeff"'.encode(), '"儿童锁在哪里？"'.encode(),
    '"儿童锁"'.encode("gb18030"),
    '"\U0010ffff"'.encode(), b'"' + b"a" * 9000 + b'"', b"[]", b"{}", b"[" * 70 + b"]" * 70,
    b'{"a":' * 70 + b"1" + b"}" * 70, b"[" + b"[]," * 300 + b"[]]", b"[" * 2000, b'{"a":1,"a":2}',
    b'{"__proto__": {}}', b"{'a': 1}", b"[1,]", b"//", b"\xef\xbb\xbf1", b"",
)  # fmt: skip

ODD_TARGETS: tuple[bytes, ...] = (
    b"/", b"//", b"/..", b"/../../etc/passwd", b"/v1/../healthz", b"/v1//models", b"/%2e%2e/%2e%2e",
    b"/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", b"/v1/models/%00", b"/v1/models/%ff%fe",
    b"/v1/models/%ed%a0%80", b"/v1/models/%E5%84%BF", "/v1/models/儿童锁".encode(),
    b"/v1/models/%0d%0aSet-Cookie:%20a=b", b"/v1/models/%1b%5b2J", b"/v1/models/" + b"a" * 9000,
    b"/v1/passages/x'%20OR%20'1'='1", b"/v1/passages/%27;--", b"/v1/interactions/" + b"%F0" * 30,
    b"/v1/documents?after=%27%22%5C&limit=1e3", b"/v1/documents?limit=999999999999999999999999",
    b"/v1/documents?limit=-1&limit=5", b"/v1/jobs?after=" + b"0" * 32, b"/v1/audit?skip=2147483648",
    b"/v1/versions/99999999999999999999/promote", b"/v1/versions/-1/promote", b"/signin?token=%00",
    b"/signin?token=" + b"x" * 300, b"/openapi.json?x=" + b"y" * 9000, b"http://evil.example.org/",
    b"*", b"", b"healthz", b"/healthz#a", b"/healthz?%", b"/healthz\x00", b"/health\xe9",
    b"\\healthz",
)  # fmt: skip

ODD_HEADERS: tuple[bytes, ...] = (
    b"Host: evil.example.org", b"Host: localhost, evil.example.org", b"Host:", b"Host: [::1",
    b"Host: localhost:99999999", b"Host: a@localhost", b"X-Forwarded-Host: evil.example.org",
    b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https\t", b"Forwarded: host=evil",
    b"Origin: null", b"Origin: https://evil.example.org", b"Origin: http://localhost:1@evil",
    b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Content-Length: -1",
    b"Content-Length: 1", b"Content-Length: 0x10", b"Content-Length: 5, 5", b"Content-Length:  ",
    b"Content-Length: +5", b"Content-Length: 99999999999999999999", b"Content-Length: 5_0",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked", b"Content-Type: text/plain",
    b"Content-Type: application/json; charset=utf-16", b"Content-Type: multipart/form-data",
    b'Content-Type: multipart/form-data; boundary="',
    b"Content-Type: application/x-www-form-urlencoded", b"Content-Type: \xff",
    b"Content-Encoding: gzip", b"Expect: 100-continue", b"Expect: the-unexpected",
    b"Connection: upgrade\r\nUpgrade: websocket", b"Connection: upgrade\r\nUpgrade: h2c",
    b"Connection: keep-alive, close", b"Connection: host", b"Authorization: Bearer",
    b"Authorization: Bearer fw-" + b"A" * 43, b"Authorization: Basic eDp5",
    b"Authorization: Bearer \xe5\x84\xbf", b"Authorization: bearer\tx",
    b"Cookie: flywheel_session=x", b"Cookie: flywheel_session=\xff; flywheel_session=y",
    b"Cookie: __Host-flywheel_session=", b"Cookie: a" + b"; a" * 2000, b"X-CSRF-Token: \xe9",
    b"Accept-Language: zh;q=nan, en;q=1e999", b"Accept-Language: " + b"zh;q=0.1," * 500,
    b"User-Agent: a\rb", b"User-Agent: a\nb: c", b"User-Agent: \x1b[2J\x07", b"X: " + b"y" * 40_000,
    b"\r\n folded: yes", b" leading: space", b"no colon", b": no name", b"X\x00: y", b"X: \x00",
    b"X Y: z", b"\xff: y", b"Range: bytes=0-", b"If-None-Match: *", b"Accept: application/xml",
    b"Accept-Encoding: br;q=1", b"TE: trailers",
    b"\r\n".join(b"X-%d: y" % number for number in range(150)),
)  # fmt: skip

ODD_METHODS = (
    b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI",
    b"get", b"G\x00T", b"POST" * 99, b"",
)  # fmt: skip
ODD_VERSIONS = (
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"",
)  # fmt: skip

ODD_CHUNKS: tuple[bytes, ...] = (
    b"2\r\n{}\r\n0\r\n\r\n", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n", b"2;a=b\r\n{}\r\n0\r\n\r\n",
    b"2;" + b"a" * 9000 + b"\r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"2\r\n{}0\r\n\r\n",
    b"ffffffffffffffff\r\n{}", b"FFFFFFFFFFFFFFFFFFFF\r\n", b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
    b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"5\r\n{}\r\n0\r\n\r\n",
    b"0\r\n\r\n", b"0\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n", b"zz\r\n",
    b"00000000000000002\r\n{}\r\n0\r\n\r\n", b"1\r\n{\r\n" * 300 + b"0\r\n\r\n",
)  # fmt: skip

ODD_NAMES: tuple[bytes, ...] = (
    b"a.md", "手册.docx".encode(), "手册.docx".encode("gb18030"), b"../../flywheel.toml",
    b"/etc/passwd", b"..\\..\\flywheel.db", b"C:\\x.md", b"a\x00.md", b"CON", b".", b"..", b"",
    b" ", b"a" * 5000, b"\xff", "\u202egpj.exe".encode(), b"flywheel.toml", b"x.zip", b"x.tar.gz",
    b"%2e%2e%2fx", b'a"b.md', b"a\r\nb",
)  # fmt: skip

NOISE: tuple[bytes, ...] = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50), b"\x05\x01\x00", b"SSH-2.0-x\r\n",
    b"\r\n" * 500, b"\x00" * 5000, b"GET", b"GET /healthz",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"GET /healthz HTTP/1.1\n\n", b"HELO x\r\n",
)  # fmt: skip


class Requests:
    """Makes attempts, by chance."""

    def __init__(
        self, seed: int, secrets: Mapping[Role, str], routes: Sequence[tuple[str, str]]
    ) -> None:
        """
        Args:
            routes: methods and paths of the document.
        """
        self._chance = random.Random(seed)
        self._secrets = [secret.encode() for secret in secrets.values()]
        self._routes = [(method.upper().encode(), path.encode()) for method, path in routes]
        self._kinds: dict[str, Callable[[], bytes]] = {
            "target": self._target,
            "headers": self._headers,
            "length": self._length,
            "chunks": self._chunks,
            "json": self._json,
            "bytes": self._bytes,
            "form": self._form,
            "page": self._page,
            "mutated": self._mutated,
            "noise": self._noise,
        }

    def attempts(self) -> Iterator[Attempt]:
        """Attempts of all kinds in turns, without an end."""
        while True:
            for kind, make in self._kinds.items():
                data = make()
                if self._chance.random() < 0.1:
                    data += make()  # the next request follows at once
                yield Attempt(kind=kind, pieces=self._pieces(data))

    def _pieces(self, data: bytes) -> tuple[bytes, ...]:
        if self._chance.random() < 0.7 or len(data) < 2:
            return (data,)
        cut = self._chance.randrange(1, len(data))
        return data[:cut], data[cut:]

    def _one(self, of: Sequence[bytes]) -> bytes:
        return self._chance.choice(of)

    def _request(
        self, method: bytes, target: bytes, *headers: bytes, body: bytes = b"", length: bool = True
    ) -> bytes:
        lines = [
            method + b" " + target + b" HTTP/1.1",
            b"Host: localhost",
            b"Authorization: Bearer " + self._one(self._secrets),
            *headers,
        ]
        if length and (body or method == b"POST"):
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _place(self, methods: Sequence[bytes] = (b"POST",)) -> tuple[bytes, bytes]:
        """A method and a path of the document, with odd values in it."""
        method, path = self._chance.choice([each for each in self._routes if each[0] in methods])
        while b"{" in path:
            before, _, rest = path.partition(b"{")
            value = self._one((b"1", b"x", b"%27", b"%F0%9F%98%80", b"0" * 32, b"%2F..%2F"))
            path = before + value + rest.partition(b"}")[2]
        return method, path

    def _target(self) -> bytes:
        method, target = self._one(ODD_METHODS), self._one(ODD_TARGETS)
        start = method + b" " + target + b" " + self._one(ODD_VERSIONS)
        secret = self._one(self._secrets)
        return start + b"\r\nHost: localhost\r\nAuthorization: Bearer " + secret + b"\r\n\r\n"

    def _headers(self) -> bytes:
        method, path = self._place((b"GET", b"POST", b"DELETE"))
        headers = [self._one(ODD_HEADERS) for _ in range(self._chance.randint(1, 4))]
        kind = b"Content-Type: application/json"
        body = b'{"model": "flywheel"}' if method == b"POST" else b""
        return self._request(method, path, *headers, *([kind] if body else []), body=body)

    def _length(self) -> bytes:
        odd = [each for each in ODD_HEADERS if each.startswith((b"Content-L", b"Transfer"))]
        headers = [self._one(odd) for _ in range(self._chance.randint(1, 2))]
        _, path = self._place()
        json_type = b"Content-Type: application/json"
        return self._request(b"POST", path, json_type, *headers, body=b"{}", length=False)

    def _chunks(self) -> bytes:
        _, path = self._place()
        kind = self._one(
            (b"Content-Type: application/json", b"Content-Type: multipart/form-data; boundary=b")
        )
        te = b"Transfer-Encoding: chunked"
        return self._request(b"POST", path, kind, te, body=self._one(ODD_CHUNKS), length=False)

    def _json(self) -> bytes:
        _, path = self._place()
        fields = (b"model", b"messages", b"input", b"prompt", b"kind", b"question", b"stop", b"n",
                  b"name", b"role", b"access", b"items", b"reason", b"stream", b"id", b"evidence",
                  b"response_format", b"seed", b"days", b"\\u0000", b"\\ud800")  # fmt: skip
        parts = [
            b'"%b": %b' % (self._one(fields), self._value(3))
            for _ in range(self._chance.randint(0, 5))
        ]
        if self._chance.random() < 0.5:
            parts.insert(0, b'"model": "flywheel"')
        body = b"{" + b", ".join(parts) + b"}" if self._chance.random() < 0.8 else self._value(2)
        return self._request(b"POST", path, b"Content-Type: application/json", body=body)

    def _value(self, depth: int) -> bytes:
        if depth == 0 or self._chance.random() < 0.5:
            return self._one(ODD_ATOMS)
        inner = [self._value(depth - 1) for _ in range(self._chance.randint(0, 3))]
        if self._chance.random() < 0.5:
            return b"[" + b",".join(inner) + b"]"
        names = (b"role", b"content", b"type", b"text", b"kind", b"")
        return b"{" + b",".join(b'"%b":%b' % (self._one(names), each) for each in inner) + b"}"

    def _bytes(self) -> bytes:
        _, path = self._place()
        asked = json.dumps(
            {
                "model": "flywheel",
                "messages": [{"role": "user", "content": self._chance.choice(QUESTIONS)}],
            },
            ensure_ascii=False,
        )
        encoding = self._chance.choice(
            ("utf-16", "utf-32", "utf-7", "gb18030", "utf-8-sig", "utf-8")
        )
        body = self._chance.choice(
            (
                self._chance.randbytes(self._chance.randint(0, 4000)),
                asked.encode(encoding, "replace"),
                asked.encode()[: self._chance.randint(0, 60)],
                asked.encode() + b"\x00",
                b" " * 100_000 + asked.encode(),
                b'"' + b"\\" * 99_999 + b'"',
            )
        )
        return self._request(b"POST", path, b"Content-Type: application/json", body=body)

    def _form(self) -> bytes:
        boundary = self._one((b"b", b"-" * 70, b"b b", b"\xe5", b"--", b"a" * 300, b"'()+_,-./:=?"))
        kind = b"Content-Type: multipart/form-data; boundary=" + boundary
        parts = b"".join(self._part(boundary) for _ in range(self._chance.randint(0, 5)))
        ends = (
            b"--%b--\r\n" % boundary,
            b"--%b" % boundary,
            b"",
            b"--%b--" % boundary[:-1],
            b"--\r\n",
        )
        start = self._one((b"", b"preamble\r\n", b"\r\n" * 50, b"--"))
        return self._request(b"POST", b"/v1/documents", kind, body=start + parts + self._one(ends))

    def _part(self, boundary: bytes) -> bytes:
        name = self._one((b"files", b"access", b"other", b"", b"files[]", b'"', b"\xff"))
        given = self._one(ODD_NAMES)
        head = self._one(
            (
                b'Content-Disposition: form-data; name="%b"; filename="%b"' % (name, given),
                b'Content-Disposition: form-data; name="%b"' % name,
                b"Content-Disposition: form-data; name=%b; filename*=UTF-8''%%2e%%2e%%2f%b"
                % (name, given),
                b'Content-Disposition: attachment; filename="%b"' % given,
                b"Content-Disposition: form-data",
                b"X: " + b"y" * 9000,
                b'Content-Disposition: form-data; name="files"; filename="a.md"\r\n'
                b"Content-Transfer-Encoding: base64",
                b'content-disposition:form-data;name="files";filename="a.md";filename="b.md"',
                b"",
            )
        )
        content = self._chance.choice(
            (
                b"# Text\n\nThe horn is on the wheel.",
                self._chance.randbytes(self._chance.randint(0, 3000)),
                b"\r\n--%b" % boundary[:-1],
                b"\r\n--" * 200,
                b"--%b\r\n" % boundary,
                b"PK\x03\x04" + bytes(60),
                "儿童锁".encode("gb18030"),
            )
        )
        return b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content)

    def _page(self) -> bytes:
        path = self._one((b"/signin", b"/signout"))
        kind = self._one(
            (
                b"Content-Type: application/x-www-form-urlencoded",
                b"Content-Type: multipart/form-data; boundary=b",
                b"Content-Type: text/plain",
            )
        )
        body = self._chance.choice(
            (
                b"key=" + self._one((b"x", b"%00", b"%ff", b"a" * 5000, b"fw-" + b"A" * 43)),
                b"token=x&token=y&key=z",
                b"&" * 3000,
                b"key[]=x&__proto__=y",
                b"csrf=%ED%A0%80",
                b"=;=&;&",
                self._chance.randbytes(200),
                b'--b\r\nContent-Disposition: form-data; name="key"; filename="x"\r\n\r\ny\r\n'
                b"--b--\r\n",
                b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\ny\r\n--b--\r\n',
            )
        )
        return self._request(b"POST", path, kind, b"Origin: http://localhost", body=body)

    def _mutated(self) -> bytes:
        _, path = self._place()
        body = json.dumps(
            {
                "model": "flywheel",
                "messages": [{"role": "user", "content": "儿童锁?"}],
                "stream": True,
            }
        )
        whole = bytearray(
            self._request(b"POST", path, b"Content-Type: application/json", body=body.encode())
        )
        for _ in range(self._chance.randint(1, 4)):
            place = self._chance.randrange(len(whole))
            change = self._chance.randrange(4)
            if change == 0:
                whole[place] = self._chance.randrange(256)
            elif change == 1:
                del whole[place : place + self._chance.randint(1, 20)]
            elif change == 2:
                whole[place:place] = self._chance.randbytes(self._chance.randint(1, 20))
            else:
                whole[place:place] = whole[max(0, place - 30) : place]
            whole = whole or bytearray(b"x")
        return bytes(whole)

    def _noise(self) -> bytes:
        return self._one((*NOISE, self._chance.randbytes(self._chance.randint(1, 2000))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Knocked:
    """What came of an attempt."""

    data: bytes
    seconds: float
    is_over: bool
    """Whether the server had replied, or hung up, in time."""

    def statuses(self) -> list[int]:
        """Those of all replies that came; none of those that only stand in a body."""
        starts = (line[9:12] for line in self.data.split(b"\r\n") if line.startswith(b"HTTP/1.1 "))
        return [int(each) for each in starts if each.isdigit()]


async def knock(port: int, attempt: Attempt, quiet_seconds: float) -> Knocked:
    """Sends an attempt, reads until nothing comes any more, and hangs up.

    The server's connection ends when ours does: whoever half-closes and is still not let go within
    HANG_SECONDS holds something of the server.
    """
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = b""
    is_over = False
    try:
        with suppress(ConnectionError):
            for piece in attempt.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        with suppress(ConnectionError, TimeoutError):
            while piece := await asyncio.wait_for(reader.read(65536), quiet_seconds):
                data += piece
            is_over = True
        if not is_over:
            with suppress(OSError):
                writer.write_eof()
            with suppress(TimeoutError):
                data += await asyncio.wait_for(_rest(reader), HANG_SECONDS)
                is_over = True
    finally:
        writer.transport.abort()
    return Knocked(data=data, seconds=time.perf_counter() - started, is_over=is_over)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return await reader.read()
    return b""


def bombard(
    port: int,
    attempts: Sequence[Attempt],
    *,
    at_once: int = 16,
    quiet_seconds: float = 0.3,
    at: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Sends attempts, so many at a time.

    Args:
        quiet_seconds: without a byte, until a reply counts as whole.
        at: told after each attempt how many there were.
    """
    tally = Tally()

    async def one(attempt: Attempt, places: asyncio.Semaphore) -> None:
        async with places:
            knocked = await knock(port, attempt, quiet_seconds)
        statuses = knocked.statuses() or [0]
        tally.count(statuses[0], knocked.seconds, attempt.kind)
        for status in statuses[1:]:
            tally.by_status[status] += 1
        if not knocked.is_over or any(_is_own_error(status, knocked.data) for status in statuses):
            sent = b" | ".join(attempt.pieces)[:1500]
            tally.failures.append(f"{attempt.kind}: {sent!r} → {knocked.data[:500]!r}")
        at(tally.num)

    async def all_of_them() -> None:
        places = asyncio.Semaphore(at_once)
        await asyncio.gather(*(one(each, places) for each in attempts))

    asyncio.run(all_of_them())
    return tally


def _is_own_error(status: int, data: bytes) -> bool:
    """Whether the server failed; that it has too much to do at once is none."""
    return status >= 500 and not (status == 503 and b'"busy"' in data)


def routes_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The methods and paths of an OpenAPI document."""
    return [(method, path) for path, each in document["paths"].items() for method in each]
