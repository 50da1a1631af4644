"""An engine without a model: says what was queued, piece by piece, as slowly as it is told to.

For tests of what stands above an engine, and for measuring what a gateway itself takes. Pieces,
stop texts, choices, cancelling and errors are as with the real ones; chances are not its own.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flywheel.engine.protocol import FinishReason, Piece, Request, TokenChance
from flywheel.engine.stream import Stream, StreamGeneration, Workers
from flywheel.errors import EngineError

_TOKEN = re.compile(r"\s*\w{1,4}|\s*[^\w\s]|\s+")
_NUM_DIMENSIONS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeAnswer:
    """One generation to come."""

    text: str = ""
    pieces: tuple[str, ...] = ()
    """The text cut as it is to come; by words where there are none."""
    delay_seconds: float = 0.0
    """Before each piece."""
    error: EngineError | None = None
    """Raised once the text is told."""


class FakeEngine:
    """An engine (`protocol.Engine`) that is told what to say."""

    def __init__(self, respond: Callable[[Request], str] | None = None, *, name: str = "fake"):
        """Answers by `respond` whenever nothing is queued."""
        self.name = name
        self.requests: list[Request] = []
        """In the order of asking."""
        self.num_cancelled = 0
        """Generations that nobody read to their end."""
        self._respond = respond
        self._queue: deque[FakeAnswer] = deque()
        self._lock = threading.Lock()
        self._workers = Workers()

    def queue(self, *answers: str | EngineError | FakeAnswer) -> None:
        """Puts answers in line, one for each generation; an error alone is raised at once."""
        for answer in answers:
            if isinstance(answer, str):
                answer = FakeAnswer(text=answer)
            elif isinstance(answer, EngineError):
                answer = FakeAnswer(error=answer)
            self._queue.append(answer)

    def generate(self, request: Request) -> StreamGeneration:
        with self._lock:
            self.requests.append(request)
            answer = self._next_answer(request)

        def work(stream: Stream) -> None:
            self._tell(answer, request, stream)

        stream = self._workers.start(work, lambda: None, num_choices=request.num_choices)
        return StreamGeneration(stream)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A direction by the text's hash: equal texts are close, and no others."""
        return [_direction(text) for text in texts]

    def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def close(self) -> None:
        self._workers.close()

    def _next_answer(self, request: Request) -> FakeAnswer:
        if self._queue:
            return self._queue.popleft()
        if self._respond is None:
            raise EngineError("The fake engine has nothing more to say: queue an answer.")
        return FakeAnswer(text=self._respond(request))

    def _tell(self, answer: FakeAnswer, request: Request, stream: Stream) -> None:
        """Every choice gets the same text, a piece each in turn."""
        pieces, finish = _cut(answer, request)
        choices = range(request.num_choices)
        for text in pieces:
            if stream.wait(answer.delay_seconds):
                with self._lock:
                    self.num_cancelled += 1
                return
            for choice in choices:
                stream.put(_piece(text, choice, request.sampling.num_logprobs))
        if answer.error is not None:
            raise answer.error
        num_prompt = self.count_tokens(
            request.prompt + "".join(message.content for message in request.messages)
        )
        for choice in choices:
            stream.put(
                Piece(
                    choice=choice,
                    finish=finish,
                    num_prompt_tokens=num_prompt + len(request.prompt_ids),
                    num_tokens=len(pieces),
                )
            )


def _cut(answer: FakeAnswer, request: Request) -> tuple[list[str], FinishReason]:
    """The pieces up to a stop text or `max_tokens`."""
    sampling = request.sampling
    all_pieces = list(answer.pieces or _TOKEN.findall(answer.text))
    text = "".join(all_pieces)
    found = [place for place in map(text.find, sampling.stop) if place >= 0]
    pieces = list(_up_to(all_pieces, min(found, default=len(text))))
    if len(pieces) > sampling.max_tokens:
        return pieces[: sampling.max_tokens], "length"
    return pieces, "stop"


def _up_to(pieces: Sequence[str], end: int) -> Iterator[str]:
    """The first `end` characters of the pieces."""
    for piece in pieces:
        if end <= 0:
            return
        yield piece[:end]
        end -= len(piece)


def _piece(text: str, choice: int, num_logprobs: int) -> Piece:
    if not num_logprobs:
        return Piece(text=text, choice=choice)
    certain = TokenChance(token=text, id=None, logprob=0.0)
    return Piece(text=text, choice=choice, tokens=(certain,), likeliest=((certain,),))


def _direction(text: str) -> list[float]:
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=_NUM_DIMENSIONS).digest()
    vector = [byte - 127.5 for byte in digest]
    length = math.hypot(*vector)
    return [value / length for value in vector]
