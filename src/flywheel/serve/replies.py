"""Replies in the shapes of the OpenAI API, as JSON-ready data."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flywheel.engine.protocol import Piece, TokenChance
from flywheel.records import Answer, to_json

FinishReason = Literal["stop", "length", "content_filter"]

_FELL_SHORT = "no model worded it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What every part of one reply begins with."""

    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, kind: str) -> dict[str, Any]:
        """The fields, with what kind of object it is."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def chat(
    head: Head,
    choices: Sequence[dict[str, Any]],
    usage: dict[str, int],
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A whole answer."""
    reply = head.of("chat.completion") | {"choices": list(choices), "usage": usage}
    return reply if about is None else reply | {"flywheel": about}


def chat_choice(
    index: int,
    text: str,
    finish: FinishReason,
    about: dict[str, Any] | None = None,
    logprobs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One candidate of a whole answer."""
    choice = {
        "index": index,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "finish_reason": finish,
        "logprobs": logprobs,
    }
    return choice if about is None else choice | {"flywheel": about}


def chat_chunk(
    head: Head, choices: Sequence[dict[str, Any]], about: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A part of an answer that is streamed."""
    reply = head.of("chat.completion.chunk") | {"choices": list(choices)}
    return reply if about is None else reply | {"flywheel": about}


def chat_delta(
    index: int,
    text: str = "",
    *,
    is_first: bool = False,
    finish: FinishReason | None = None,
    about: dict[str, Any] | None = None,
    logprobs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What is new of one candidate."""
    delta: dict[str, Any] = {"role": "assistant", "content": text} if is_first else {}
    if text and not is_first:
        delta = {"content": text}
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    return choice if about is None else choice | {"flywheel": about}


def text_choice(
    index: int, text: str, finish: FinishReason | None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One continuation, or what is new of it."""
    return {"index": index, "text": text, "finish_reason": finish, "logprobs": logprobs}


def usage(num_prompt: int, num_told: int) -> dict[str, int]:
    """How many tokens went in and came out."""
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_told,
        "total_tokens": num_prompt + num_told,
    }


def about_answer(answer: Answer, *, tells_why: bool = True) -> dict[str, Any]:
    """What Flywheel tells of one candidate.

    Args:
        tells_why: whether the caller may know why a model fell short: it names hosts and folders.
    """
    return {
        "kind": answer.kind,
        "version": answer.version,
        "confidence": round(answer.confidence, 4),
        "verified": answer.verified,
        "is_written": answer.is_written,
        "citations": [to_json(each) for each in answer.citations],
        "choices": list(answer.choices),
        "shortfall": answer.shortfall if tells_why or not answer.shortfall else _FELL_SHORT,
    }


def chat_logprobs(pieces: Sequence[Piece]) -> dict[str, Any]:
    """The chances of an answer's tokens, as chats tell them."""
    content = []
    for piece in pieces:
        likeliest = piece.likeliest or ((),) * len(piece.tokens)
        for token, others in zip(piece.tokens, likeliest, strict=True):
            content.append(_chance(token) | {"top_logprobs": [_chance(each) for each in others]})
    return {"content": content, "refusal": None}


def text_logprobs(pieces: Sequence[Piece], offset: int) -> dict[str, Any]:
    """The same, as continuations tell them.

    Args:
        offset: the place of the first token in the text, in characters.
    """
    told: dict[str, Any] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    for piece in pieces:
        likeliest = piece.likeliest or ((),) * len(piece.tokens)
        for token, others in zip(piece.tokens, likeliest, strict=True):
            told["tokens"].append(token.token)
            told["token_logprobs"].append(_finite(token.logprob))
            told["top_logprobs"].append({each.token: _finite(each.logprob) for each in others})
            told["text_offset"].append(offset)
            offset += len(token.token)
    return told


def _chance(token: TokenChance) -> dict[str, Any]:
    return {
        "token": token.token,
        "logprob": _finite(token.logprob),
        "bytes": list(token.token.encode("utf-8", "replace")),
    }


def _finite(logprob: float) -> float:
    """JSON has no infinity; OpenAI writes −9999 for what cannot come."""
    return logprob if math.isfinite(logprob) else -9999.0
