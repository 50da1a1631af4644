"""The OpenAI API: models, chats, continuations and embeddings, for clients that know no other.

    flywheel            the version that serves, after the corrections: answers with citations
    flywheel-3          version 3 by itself, to compare with; or beside another, by the field
                        `"flywheel": {"beside": [3]}`, in one interaction
    flywheel-bare       the model alone, without documents or checks; for curators
    flywheel-embedding  the embedding model that the settings name

What `flywheel` answers is made by answering.py; what the bare model says comes straight from its
engine (bare.py). Shapes are shapes.py's and replies.py's.
"""

from __future__ import annotations

import base64
import re
import struct
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.responses import JSONResponse

from flywheel.answer.conversation import standalone
from flywheel.engine.protocol import Sampling
from flywheel.engine.stopping import Stopping
from flywheel.errors import UsageError
from flywheel.records import Answer, Message
from flywheel.serve import bare, replies
from flywheel.serve.answering import Told, tell
from flywheel.serve.auth import Asker
from flywheel.serve.ending import Ending, num_tokens
from flywheel.serve.errors import ApiError
from flywheel.serve.quick import QuickRoute
from flywheel.serve.replies import FinishReason, Head
from flywheel.serve.service import Service, Serving
from flywheel.serve.shapes import (
    ERRORS,
    EVENTS,
    ChatBody,
    ChatReply,
    CompletionBody,
    CompletionReply,
    EmbeddingsBody,
    EmbeddingsReply,
    ModelList,
    ModelOut,
)
from flywheel.serve.streaming import DONE, EventStream, Work, event_of, while_listening
from flywheel.wheel import bare as bare_model
from flywheel.wheel.answering import Question
from flywheel.wheel.keys import Caller
from flywheel.wheel.versions import list_versions

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=ERRORS, route_class=QuickRoute)

CHAMPION, BARE, EMBEDDING = "flywheel", "flywheel-bare", "flywheel-embedding"
MAX_QUESTION_CHARS = 8_000
_LONG_CHARS = 20_000
"""Of a conversation, from which reading it is no work for the event loop."""

_VERSION = re.compile(r"flywheel-([1-9]\d{0,8})")


@router.get("/models", response_model=ModelList)
async def models(service: Serving, caller: Asker) -> Response:
    """Lists who can be asked: the version that serves first, then the versions by number."""
    listed = await service.run(_models, service, caller)
    return JSONResponse({"object": "list", "data": listed})


@router.get("/models/{model}", response_model=ModelOut)
async def model(service: Serving, caller: Asker, model: str) -> Response:
    """One of them."""
    listed = await service.run(_models, service, caller)
    found = next((each for each in listed if each["id"] == model), None)
    if found is None:
        raise _unknown(model)
    return JSONResponse(found)


@router.post("/chat/completions", response_model=ChatReply, responses=EVENTS)
async def chat(service: Serving, caller: Asker, body: ChatBody, request: Request) -> Response:
    """Answers the last message of the user, with citations.

    Follow-up questions are resolved against the conversation. With `stream`, server-sent events.
    """
    if body.model == BARE:
        return await bare.chat(service, caller, body, request)
    if sum(len(each.text) for each in body.messages) > _LONG_CHARS:
        question = await service.run(_question, caller, body)
    else:
        question = _question(caller, body)
    service.limits.take(caller.key, len(body.beside))
    asking = _Asking(service, caller, body, question)
    headers = service.limits.headers(caller.key)
    if body.stream:
        return EventStream(asking.events(), headers)
    reply = await while_listening(request.receive, asking.reply())
    return JSONResponse(reply, headers=headers)


@router.post("/completions", response_model=CompletionReply, responses=EVENTS)
async def completions(
    service: Serving, caller: Asker, body: CompletionBody, request: Request
) -> Response:
    """Continues a text: the writing aid, by the bare model."""
    if body.model != BARE:
        raise ApiError(
            400 if _is_assistant(body.model) else 404,
            f"Texts are continued by {BARE}; {CHAMPION} answers at /v1/chat/completions.",
            param="model",
            code="model_not_found",
        )
    return await bare.completion(service, caller, body, request)


@router.post("/embeddings", response_model=EmbeddingsReply)
async def embeddings(service: Serving, caller: Asker, body: EmbeddingsBody) -> Response:
    """Unit vectors of texts, by the embedding model that passages are found with."""
    if body.model != EMBEDDING:
        raise _unknown(body.model)
    try:
        texts = body.texts
    except ValueError as error:
        raise ApiError(400, f"input: {error}", param="input") from None
    service.limits.take(caller.key, len(texts) - 1)
    async with service.limits.admitted(caller.key):
        vectors = await service.run(_embedded, service, texts)
    if body.dimensions and body.dimensions != len(vectors[0]):
        raise ApiError(400, f"dimensions: this model has {len(vectors[0])}", param="dimensions")
    num = await service.run(lambda: sum(map(num_tokens, texts)))
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _base64(vector) if body.encoding_format == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": num, "total_tokens": num}
    return JSONResponse({"object": "list", "model": body.model, "data": data, "usage": usage})


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question on its way."""

    service: Service
    caller: Caller
    body: ChatBody
    question: Question

    async def reply(self) -> dict[str, Any]:
        """The whole answer."""
        head = self._head()
        async with self.service.limits.admitted(self.caller.key), self._work(head) as work:
            told = await work.result()
        choices = []
        for index, answer in enumerate(told.candidates):
            ending = self._ending()
            text = ending.feed(answer.answer) + ending.flush()
            about = self._about_answer(answer)
            choices.append(replies.chat_choice(index, text, _finish(ending, told), about))
        texts = [choice["message"]["content"] for choice in choices]
        return replies.chat(head, choices, self._usage(texts), self._about(told))

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The same as events: the first candidate as it comes, then the others."""
        head, ending = self._head(), self._ending()
        shown: list[str] = []
        is_first = True
        async with self.service.limits.admitted(self.caller.key):
            async with self._work(head) as work, aclosing(work.batches()) as batches:
                async for batch in batches:
                    text = ending.feed("".join(batch))
                    if text or not batch:
                        delta = replies.chat_delta(0, text, is_first=is_first)
                        yield self._event(head, [delta])
                        is_first = False
                        shown.append(text)
                told = await work.result()
            # What is left is known by now, and goes as one.
            rest: list[bytes] = []
            for index, answer in enumerate(told.candidates):
                about = self._about_answer(answer)
                if index > 0:
                    ending, is_first = self._ending(), True
                text = (ending.feed(answer.answer) if index > 0 else "") + ending.flush()
                shown.append(text)
                if text or is_first:
                    delta = replies.chat_delta(index, text, is_first=is_first)
                    rest.append(self._event(head, [delta]))
                is_last = index == len(told.candidates) - 1
                delta = replies.chat_delta(index, finish=_finish(ending, told), about=about)
                rest.append(self._event(head, [delta], self._about(told) if is_last else None))
            usage = self._usage(shown)
            if self._wants_usage:
                rest.append(event_of(replies.chat_chunk(head, []) | {"usage": usage}))
            yield b"".join((*rest, DONE))

    def _work(self, head: Head) -> Work[str, Told]:
        id = head.id.removeprefix("chatcmpl-")
        whole = not self.body.stream
        return Work(self.service, lambda stopping: self._told(id, stopping), whole=whole)

    def _told(self, id: str, stopping: Stopping) -> Generator[str, None, Told]:
        body = self.body
        try:
            return (
                yield from tell(self.service, self.question, id, body.n or 1, stopping, body.beside)
            )
        except UsageError as error:  # there is no such version, or it was erased
            param = "flywheel.beside" if body.beside and self.question.version is None else "model"
            raise ApiError(404, str(error), param=param, code="model_not_found") from error

    def _about_answer(self, answer: Answer) -> dict[str, Any]:
        return replies.about_answer(answer, tells_why=self.caller.may("curator"))

    def _head(self) -> Head:
        return Head(id=f"chatcmpl-{uuid.uuid4().hex}", model=self.body.model)

    def _ending(self) -> Ending:
        return Ending(self.body.stops, self.body.most_tokens)

    @property
    def _wants_usage(self) -> bool:
        options = self.body.stream_options
        return options is not None and options.include_usage

    def _event(
        self, head: Head, choices: Sequence[dict[str, Any]], about: dict[str, Any] | None = None
    ) -> bytes:
        chunk = replies.chat_chunk(head, choices, about)
        return event_of(chunk | {"usage": None} if self._wants_usage else chunk)

    def _usage(self, texts: Sequence[str]) -> dict[str, int]:
        num_prompt, num_told = num_tokens(self.question.text), sum(map(num_tokens, texts))
        self.service.metrics.tokens.labels("prompt").inc(num_prompt)
        self.service.metrics.tokens.labels("answer").inc(num_told)
        return replies.usage(num_prompt, num_told)

    def _about(self, told: Told) -> dict[str, Any]:
        return {
            "interaction": told.interaction,
            "version": told.version,
            "question": self.question.text,
            # That somebody asked this before is nobody else's business.
            "cached": told.cached if self.caller.may("curator") else "",
            "moderation": list(told.categories),
        }


def _question(caller: Caller, body: ChatBody) -> Question:
    """What a chat asks.

    Raises:
        ApiError: there is no such model, or the request asks for what documents cannot give.
    """
    if not _is_assistant(body.model):
        raise _unknown(body.model)
    _refuse_unsupported(body)
    said: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}
    messages = [
        Message(role=said[each.role], content=each.text)
        for each in body.messages
        if each.role in said and each.text.strip()
    ]
    while messages and messages[-1].role != "user":
        messages.pop()
    if len(messages[-1].content) > MAX_QUESTION_CHARS:
        raise ApiError(
            400,
            f"A question may have {MAX_QUESTION_CHARS:,} characters.",
            param="messages",
            code="context_length_exceeded",
        )
    version = _VERSION.fullmatch(body.model)
    return Question(
        text=standalone(messages)[:MAX_QUESTION_CHARS],
        user=caller.name,
        labels=caller.access,
        version=int(version[1]) if version else None,
        sampling=_sampling(body),
    )


def _sampling(body: ChatBody) -> Sampling | None:
    """How a model's words are to be drawn; None as in the exam, which is what was tested."""
    if not body.temperature:
        return None
    top_p = 1.0 if body.top_p is None else body.top_p
    return Sampling(temperature=body.temperature, top_p=top_p, seed=body.seed)


def _refuse_unsupported(body: ChatBody) -> None:
    asked = {
        "tools": bool(body.tools or body.functions),
        "logprobs": bool(body.logprobs or body.top_logprobs),
        "response_format": body.response_format is not None and body.response_format.type != "text",
    }
    for param, is_asked in asked.items():
        if is_asked:
            raise ApiError(
                400,
                f"{param}: answers from documents have none; the model alone is {BARE}.",
                param=param,
                code="unsupported_parameter",
            )


def _finish(ending: Ending, told: Told) -> FinishReason:
    return "content_filter" if told.is_refused else ending.finish or "stop"


def _is_assistant(model: str) -> bool:
    return model == CHAMPION or _VERSION.fullmatch(model) is not None


def _unknown(model: str) -> ApiError:
    return ApiError(
        404,
        f"There is no model {model[:100]!r}; GET /v1/models lists those there are.",
        param="model",
        code="model_not_found",
    )


def _models(service: Service, caller: Caller) -> list[dict[str, Any]]:
    workspace = service.workspace
    listed = list_versions(workspace)
    by_number = {
        each.number: _seconds(each.created_at) for each in listed.versions if not each.erased
    }
    found: list[tuple[str, int]] = []
    if listed.champion is not None:
        found.append((CHAMPION, by_number.get(listed.champion, 0)))
    found += [(f"{CHAMPION}-{number}", created) for number, created in sorted(by_number.items())]
    if caller.may("curator") and bare_model.writer(workspace):
        found.append((BARE, max(by_number.values(), default=0)))
    if workspace.settings.search.embedding:
        found.append((EMBEDDING, 0))
    return [
        {"id": id, "object": "model", "created": created, "owned_by": "flywheel"}
        for id, created in found
    ]


def _embedded(service: Service, texts: Sequence[str]) -> list[list[float]]:
    embedder = service.workspace.embedder
    if embedder is None:
        raise ApiError(
            404,
            "There is no embedding model: flywheel.toml names none in search.embedding.",
            param="model",
            code="model_not_found",
        )
    return [[float(value) for value in vector] for vector in embedder.embed(texts, "passage")]


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _seconds(at: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(at).timestamp())
