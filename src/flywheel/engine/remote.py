"""A model elsewhere, at any URL that speaks the OpenAI protocol.

Where it cannot be reached or is too busy it is asked again, a little later each time, and then the
second URL is asked; but only before the first word: what a reader has seen is never begun anew.

The key goes to the first URL's host and to no other, and stands in no message. Redirects are
refused: a page could else lead questions and passages to a host that the owner never named.

Not here: what a request and its events look like (`openai.py`, `sse.py`).
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from flywheel.engine import openai, sse
from flywheel.engine.protocol import Request
from flywheel.engine.settings import EngineSettings
from flywheel.engine.stream import Stream, StreamGeneration, Workers
from flywheel.errors import EngineError

_END = "[DONE]"
_NUM_TRIES = 3
"""Of each URL."""
_FIRST_WAIT_SECONDS = 0.5
"""Doubles with each further try."""
_MAX_WAIT_SECONDS = 30.0
"""A service that asks to be left alone for longer is not waited for."""
_CONNECT_SECONDS = 10.0
_BUSY = frozenset({408, 409, 425, 429})
_MAX_ERROR_BYTES = 1 << 16
_MAX_EVENTS_PER_TOKEN = 4
_EMBEDDING_TEXTS = 32
"""Embedded by one call."""


class _Unavailable(EngineError):
    """It may be worth asking again, or elsewhere."""

    def __init__(self, message: str, *, wait_seconds: float | None = None, again: bool = True):
        super().__init__(message)
        self.wait_seconds, self.again = wait_seconds, again


class RemoteEngine:
    """An engine (`protocol.Engine`) behind a URL."""

    def __init__(self, settings: EngineSettings) -> None:
        """Use `open`."""
        self._settings = settings
        self._urls = [url.rstrip("/") for url in (settings.url, settings.fallback_url) if url]
        self._key = os.environ.get(settings.key_variable, "").strip()
        self.name = f"{settings.model or 'model'} at {_host(self._urls[0])}"
        seconds = settings.timeout_seconds
        self._client = httpx.Client(
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS), pool=None),
            # A connection of its own for each request, so that closing one ends one.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
        )
        self._workers = Workers()
        self._finish = weakref.finalize(self, _close, self._workers, self._client)

    @classmethod
    def open(cls, settings: EngineSettings) -> RemoteEngine:
        """Checks the settings; nothing is sent yet.

        Raises:
            EngineError: no URL, or one that is not http or https.
        """
        if not settings.url:
            raise EngineError("No engine is named: set `engine.url` in flywheel.toml.")
        for url in (settings.url, settings.fallback_url):
            if url and not _is_http(url):
                raise EngineError(f"{url} is no URL of an engine, such as http://gpu-box:8000/v1.")
        return cls(settings)

    def generate(self, request: Request) -> StreamGeneration:
        """Starts a generation, in a thread of its own."""
        if not (request.messages or request.prompt or request.prompt_ids):
            raise EngineError("There is nothing to continue: the request has no messages.")
        connection = _Connection()

        def work(stream: Stream) -> None:
            def attempt(url: str) -> None:
                self._stream(url, request, stream, connection)

            self._with_tries(attempt, stream.wait)

        stream = self._workers.start(work, connection.cut, num_choices=request.num_choices)
        return StreamGeneration(stream)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _EMBEDDING_TEXTS):
            part = list(texts[start : start + _EMBEDDING_TEXTS])

            def attempt(url: str, part: list[str] = part) -> None:
                vectors.extend(self._embedded(url, part))

            self._with_tries(attempt, _wait)
        return vectors

    def count_tokens(self, text: str) -> int:
        """An estimate from above, since the protocol has no way to ask: half a token for an ASCII
        letter or space, one for other ASCII, two for any other character. Of 1,693 stretches of
        500 characters, Chinese laws and English manuals, Qwen's vocabulary exceeds it in none."""
        num_words = sum(each == " " or (each.isascii() and each.isalpha()) for each in text)
        num_ascii = sum(each.isascii() for each in text)
        return math.ceil(num_words / 2) + (num_ascii - num_words) + 2 * (len(text) - num_ascii)

    def close(self) -> None:
        """Cuts all connections."""
        self._finish()

    def _with_tries(self, attempt: Callable[[str], None], wait: Callable[[float], bool]) -> None:
        """Tries each URL in turn. `wait` waits, and says whether to give up."""
        problems: list[str] = []
        for url in self._urls:
            for turn in range(_NUM_TRIES):
                try:
                    return attempt(url)
                except _Unavailable as error:
                    problem, pause = str(error), _pause(error, turn)
                except EngineError as error:
                    raise EngineError(self._without_key(str(error))) from error
                if pause is None:
                    break
                if wait(pause):
                    return None
            problems.append(problem)
        raise EngineError(self._without_key("; ".join(problems)))

    def _stream(self, url: str, request: Request, stream: Stream, connection: _Connection) -> None:
        reading = openai.Reading(request)
        num_left = _MAX_EVENTS_PER_TOKEN * request.sampling.max_tokens * request.num_choices + 100
        body = openai.body(request, self._settings.model)
        try:
            with self._sent(url, openai.path(request), body, connection) as response:
                for event in self._events(response):
                    for piece in reading.pieces(event):
                        stream.put(piece)
                    num_left -= 1
                    if num_left < 0:
                        raise EngineError(f"{_host(url)} sends more than was asked for.")
        except httpx.HTTPError as error:
            if stream.is_cancelled():
                return
            if reading.has_begun:
                raise EngineError(f"{_host(url)} broke off in the midst of its answer.") from error
            raise _unavailable(url, error) from error
        for end in reading.ends():
            stream.put(end)

    def _embedded(self, url: str, texts: list[str]) -> list[list[float]]:
        body = {"model": self._settings.model, "input": texts}
        try:
            with self._sent(url, "embeddings", body, _Connection()) as response:
                answer = json.loads(response.read())
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = [[float(value) for value in row["embedding"]] for row in rows]
        except httpx.HTTPError as error:
            raise _unavailable(url, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{_host(url)} sends no embeddings that can be read.") from error
        if len(vectors) != len(texts):
            raise EngineError(f"{_host(url)} embeds {len(vectors)} of {len(texts)} texts.")
        return [_unit(vector) for vector in vectors]

    @contextmanager
    def _sent(
        self, url: str, path: str, body: Mapping[str, Any], connection: _Connection
    ) -> Iterator[httpx.Response]:
        """The response to a request, once its status is known to be good."""
        may_have_key = self._key and _origin(url) == _origin(self._urls[0])
        headers = {"Authorization": f"Bearer {self._key}"} if may_have_key else {}
        with self._client.stream(
            "POST",
            f"{url}/{path}",
            json=body,
            headers=headers,
            extensions={"trace": connection.trace},
        ) as response:
            _check(url, response)
            yield response

    def _events(self, response: httpx.Response) -> Iterator[openai.Event]:
        """Each event's JSON, up to the one that ends them; comments do not count as words."""
        heard = time.monotonic()

        def chunks() -> Iterator[bytes]:
            for chunk in response.iter_bytes():
                if time.monotonic() - heard > self._settings.timeout_seconds:
                    raise httpx.ReadTimeout("no words in time")
                yield chunk

        for data in sse.events(chunks()):
            heard = time.monotonic()
            if data == _END:
                return
            yield _event(data)

    def _without_key(self, message: str) -> str:
        """Some services repeat a key that they refuse."""
        return message.replace(self._key, "…") if self._key else message


class _Connection:
    """A request's socket, which another thread may cut at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def trace(self, name: str, details: Mapping[str, Any]) -> None:
        """Told by httpcore of each step; a socket is known as soon as it is connected."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._socket = details["return_value"].get_extra_info("socket")
                if self._is_cut:
                    self._shut()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            self._shut()

    def _shut(self) -> None:
        if isinstance(self._socket, socket.socket):
            # Not an SSLSocket's own method, which is not made for another thread than the reader's.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _check(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    host = _host(url)
    if 300 <= status < 400:
        target = response.headers.get("Location", "nowhere")[:200]
        raise EngineError(
            f"{host} redirects to {target}, which is not followed. If that one may read what is "
            "asked, name it in `engine.url`."
        )
    reason = f"{host} answers {status}: {_problem(response)}"
    if status >= 500 or status in _BUSY:
        raise _Unavailable(reason, wait_seconds=_retry_after(response))
    raise EngineError(reason)


def _problem(response: httpx.Response) -> str:
    data = b""
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > _MAX_ERROR_BYTES:
            break
    text = data[:_MAX_ERROR_BYTES].decode("utf-8", errors="replace")
    try:
        return openai.problem(json.loads(text))
    except ValueError:
        return openai.problem(text)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, told as such or as a date; None where it is not told."""
    told = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _pause(error: _Unavailable, turn: int) -> float | None:
    """How long to wait until the next try; None: there is none."""
    if turn + 1 >= _NUM_TRIES or not error.again:
        return None
    if error.wait_seconds is not None:
        return error.wait_seconds if error.wait_seconds <= _MAX_WAIT_SECONDS else None
    return _FIRST_WAIT_SECONDS * float(2**turn) * random.uniform(0.75, 1.25)


def _unavailable(url: str, error: httpx.HTTPError) -> _Unavailable:
    # Who was silent for the whole time would be so again.
    if isinstance(error, httpx.TimeoutException):
        return _Unavailable(f"{_host(url)} does not answer in time", again=False)
    return _Unavailable(f"{_host(url)} cannot be reached: {openai.problem(str(error))}")


def _event(data: str) -> openai.Event:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise EngineError(f"The engine sends an event that is no JSON: {data[:80]}") from error
    if not isinstance(event, dict):
        raise EngineError(f"The engine sends an event that is no object: {data[:80]}")
    return event


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    if not math.isfinite(length) or length == 0:
        raise EngineError("The engine sends an embedding without direction.")
    return [value / length for value in vector]


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in {"http", "https"} and bool(parsed.host)


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


def _host(url: str) -> str:
    """For messages: without a name and password that may stand before it."""
    return httpx.URL(url).netloc.decode("ascii").rpartition("@")[2]


def _close(workers: Workers, client: httpx.Client) -> None:
    workers.close()
    client.close()
