"""The bare model over HTTP: what its engine says, token by token, as a chat or a continuation.

Without documents, citations or checks, and so for curators. Nothing of it is kept.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.responses import JSONResponse

from flywheel.engine.protocol import Piece, Request, Sampling
from flywheel.engine.stopping import Stopping
from flywheel.errors import EngineError
from flywheel.records import Message
from flywheel.serve import replies
from flywheel.serve.errors import ApiError
from flywheel.serve.replies import FinishReason, Head
from flywheel.serve.service import Service
from flywheel.serve.shapes import ChatBody, CompletionBody, SamplingBody
from flywheel.serve.streaming import (
    DONE,
    EventStream,
    Work,
    event_of,
    seconds_apart,
    while_listening,
)
from flywheel.wheel import bare
from flywheel.wheel.keys import Caller

_HOUR_SECONDS = 3_600.0
"""Longer than any answer takes."""

MOST_TOKENS = 512
"""Of an answer, where the request does not say."""

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


async def chat(service: Service, caller: Caller, body: ChatBody, http: HttpRequest) -> Response:
    """The model's reply to a conversation, by its own chat template."""
    if body.tools or body.functions:
        raise ApiError(
            400, "tools: this model calls none", param="tools", code="unsupported_parameter"
        )
    messages = tuple(
        Message(role=_ROLES[each.role], content=each.text)
        for each in body.messages
        if each.role in _ROLES
    )
    num_logprobs = max(1, body.top_logprobs or 0) if body.logprobs else 0
    form = body.response_format
    request = Request(
        messages=messages,
        sampling=_sampling(body, body.most_tokens, num_logprobs),
        num_choices=body.n or 1,
        json_schema=form.schema_of if form else None,
    )
    return await _answer(_Chat(service, caller, body, request), http)


async def completion(
    service: Service, caller: Caller, body: CompletionBody, http: HttpRequest
) -> Response:
    """The model's continuation of a text."""
    if body.echo or body.suffix or (body.best_of or 1) > (body.n or 1):
        raise ApiError(
            400, "echo, suffix and best_of are not supported", code="unsupported_parameter"
        )
    try:
        prompt = body.text
    except ValueError as error:
        raise ApiError(400, f"prompt: {error}", param="prompt") from None
    if not prompt:
        raise ApiError(400, "prompt: there is nothing to continue", param="prompt")
    request = Request(
        prompt=prompt,
        sampling=_sampling(body, body.max_tokens, body.logprobs or 0),
        num_choices=body.n or 1,
    )
    return await _answer(_Completion(service, caller, body, request), http)


async def _answer(asking: _Asking, http: HttpRequest) -> Response:
    caller, service = asking.caller, asking.service
    if not caller.may("curator"):
        raise ApiError(
            403,
            f"The bare model needs the role curator; the key's is {caller.role}.",
            param="model",
        )
    headers = service.limits.headers(caller.key)
    if asking.body.stream:
        return EventStream(asking.events(), headers)
    reply = await while_listening(http.receive, asking.reply())
    return JSONResponse(reply, headers=headers)


@dataclass(slots=True)
class _Choice:
    """One answer as far as it has come."""

    pieces: list[Piece] = field(default_factory=list)
    finish: FinishReason | None = None
    num_tokens: int = 0
    num_chars: int = 0

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


class _Asking(ABC):
    """A request to the bare model; how it is told, the two kinds below say."""

    prefix = ""

    def __init__(
        self, service: Service, caller: Caller, body: SamplingBody, request: Request
    ) -> None:
        self.service, self.caller, self.body, self.request = service, caller, body, request
        self._head = Head(id=f"{self.prefix}-{uuid.uuid4().hex}", model=body.model)
        self._choices = [_Choice() for _ in range(request.num_choices)]
        self._num_prompt = 0

    async def reply(self) -> dict[str, Any]:
        """The whole answer."""
        async with (
            self.service.limits.admitted(self.caller.key),
            self._work() as work,
            aclosing(work.batches()) as batches,
        ):
            async for batch in batches:
                for piece in batch:
                    self._take(piece)
        return self.whole(self._usage())

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The same as events; what has come together goes together."""
        has_begun: set[int] = set()
        last: list[bytes] = []
        async with self.service.limits.admitted(self.caller.key):
            async with self._work() as work, aclosing(work.batches()) as batches:
                async for batch in batches:
                    if not batch and not has_begun:
                        yield b": the model reads\n\n"
                    told: list[bytes] = []
                    for index in sorted({piece.choice for piece in batch}):
                        pieces = [each for each in batch if each.choice == index]
                        offset = self._choices[index].num_chars
                        for piece in pieces:
                            self._take(piece)
                        event = self.part(index, pieces, offset, index not in has_begun)
                        has_begun.add(index)
                        told.append(
                            event_of(event | {"usage": None} if self._wants_usage else event)
                        )
                    if all(choice.finish for choice in self._choices):
                        last += told  # which goes with the end
                    elif told:
                        yield b"".join(told)
            usage = self._usage()
            if self._wants_usage:
                last.append(event_of(self.part_of([]) | {"usage": usage}))
            yield b"".join((*last, DONE))

    @abstractmethod
    def whole(self, usage: dict[str, int]) -> dict[str, Any]:
        """The reply that tells all."""

    @abstractmethod
    def part(self, index: int, pieces: Sequence[Piece], offset: int, is_first: bool) -> Any:
        """The chunk that tells these pieces of one choice."""

    @abstractmethod
    def part_of(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A chunk of these choices."""

    def _work(self) -> Work[Piece, None]:
        def pieces(stopping: Stopping) -> Generator[Piece, None, None]:
            engine = bare.engine(self.service.workspace)
            if engine is None:
                raise ApiError(
                    404,
                    "There is no model here yet. `flywheel turn --model` builds one.",
                    param="model",
                    code="model_not_found",
                )
            with stopping.watching(engine.generate(self.request)) as generation:
                apart = 0.0 if self.body.stream else _HOUR_SECONDS
                while several := generation.several(apart):
                    for piece in several:
                        if piece.finish == "cancelled" and not stopping.is_set:
                            raise EngineError(
                                "The model was replaced while it answered. Ask again."
                            )
                        yield piece
                    apart = max(apart, seconds_apart(self.service))

        return Work(self.service, pieces, whole=not self.body.stream)

    def _take(self, piece: Piece) -> None:
        choice = self._choices[piece.choice]
        if piece.finish:
            choice.finish = "length" if piece.finish == "length" else "stop"
            choice.num_tokens, self._num_prompt = piece.num_tokens, piece.num_prompt_tokens
        choice.num_chars += len(piece.text)
        if not self.body.stream:
            choice.pieces.append(piece)

    def _usage(self) -> dict[str, int]:
        num_told = sum(choice.num_tokens for choice in self._choices)
        self.service.metrics.tokens.labels("prompt").inc(self._num_prompt)
        self.service.metrics.tokens.labels("answer").inc(num_told)
        return replies.usage(self._num_prompt, num_told)

    @property
    def _wants_usage(self) -> bool:
        options = self.body.stream_options
        return options is not None and options.include_usage

    @property
    def _wants_logprobs(self) -> bool:
        return self.request.sampling.num_logprobs > 0


class _Chat(_Asking):
    prefix = "chatcmpl"

    def whole(self, usage: dict[str, int]) -> dict[str, Any]:
        choices = [
            replies.chat_choice(
                index,
                choice.text,
                choice.finish or "stop",
                logprobs=replies.chat_logprobs(choice.pieces) if self._wants_logprobs else None,
            )
            for index, choice in enumerate(self._choices)
        ]
        return replies.chat(self._head, choices, usage)

    def part(self, index: int, pieces: Sequence[Piece], offset: int, is_first: bool) -> Any:
        delta = replies.chat_delta(
            index,
            "".join(piece.text for piece in pieces),
            is_first=is_first,
            finish=self._choices[index].finish,
            logprobs=replies.chat_logprobs(pieces) if self._wants_logprobs else None,
        )
        return self.part_of([delta])

    def part_of(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return replies.chat_chunk(self._head, choices)


class _Completion(_Asking):
    prefix = "cmpl"

    def whole(self, usage: dict[str, int]) -> dict[str, Any]:
        choices = [
            replies.text_choice(
                index,
                choice.text,
                choice.finish or "stop",
                replies.text_logprobs(choice.pieces, 0) if self._wants_logprobs else None,
            )
            for index, choice in enumerate(self._choices)
        ]
        return self.part_of(choices) | {"usage": usage}

    def part(self, index: int, pieces: Sequence[Piece], offset: int, is_first: bool) -> Any:
        choice = replies.text_choice(
            index,
            "".join(piece.text for piece in pieces),
            self._choices[index].finish,
            replies.text_logprobs(pieces, offset) if self._wants_logprobs else None,
        )
        return self.part_of([choice])

    def part_of(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._head.of("text_completion") | {"choices": list(choices)}


def _sampling(body: SamplingBody, most_tokens: int | None, num_logprobs: int) -> Sampling:
    """As OpenAI draws where the request does not say: at temperature 1."""
    return Sampling(
        max_tokens=most_tokens or MOST_TOKENS,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        num_logprobs=num_logprobs,
    )
