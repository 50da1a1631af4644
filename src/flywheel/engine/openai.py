"""The OpenAI protocol: a request as its JSON body, and its streamed events as pieces.

What stands at its default is not sent: not every service takes every parameter.

Not here: the way there and back (`remote.py`, `sse.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flywheel.engine.protocol import FinishReason, Piece, Request, TokenChance
from flywheel.errors import EngineError

Event = Mapping[str, Any]


def path(request: Request) -> str:
    """Where a request goes, below the base URL."""
    return "chat/completions" if request.messages else "completions"


def body(request: Request, model: str) -> dict[str, Any]:
    """A request's JSON. An adapter goes by its name as the model's, as vLLM serves them."""
    sampling = request.sampling
    found = {
        "model": request.adapter or model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if request.messages:
        found["messages"] = [
            {"role": each.role, "content": each.content} for each in request.messages
        ]
    else:
        found["prompt"] = request.prompt or list(request.prompt_ids)
    if sampling.top_p < 1:
        found["top_p"] = sampling.top_p
    if sampling.seed is not None:
        found["seed"] = sampling.seed
    if sampling.stop:
        found["stop"] = list(sampling.stop)
    if request.num_choices > 1:
        found["n"] = request.num_choices
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": request.json_schema}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found | _logprobs_wanted(request)


def _logprobs_wanted(request: Request) -> dict[str, Any]:
    num = request.sampling.num_logprobs
    if not num:
        return {}
    return {"logprobs": True, "top_logprobs": num} if request.messages else {"logprobs": num}


@dataclass(slots=True)
class Reading:
    """What is known of one streamed answer while its events come in."""

    request: Request
    num_pieces: dict[int, int] = field(default_factory=dict)
    """Of each choice; about its tokens, where the usage is not told."""
    finished: list[Piece] = field(default_factory=list)
    """Ends of choices, kept until the usage, which comes last, is known."""
    usage: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_begun(self) -> bool:
        return bool(self.num_pieces)

    def pieces(self, event: Event) -> Iterator[Piece]:
        """The text in an event.

        Raises:
            EngineError: the event is an error, or not what the protocol says.
        """
        if event.get("error"):
            raise EngineError(f"The engine broke off: {problem(event)}")
        try:
            yield from self._pieces(event)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise EngineError(f"The engine sends an event that is malformed: {error!r}.") from error

    def ends(self) -> list[Piece]:
        """The ends of the choices, once there are no more events.

        Raises:
            EngineError: a choice has not come to its end.
        """
        if {piece.choice for piece in self.finished} != set(range(self.request.num_choices)):
            raise EngineError("The engine broke off before the end of its answer.")
        return [self._counted(piece) for piece in self.finished]

    def _pieces(self, event: Event) -> Iterator[Piece]:
        self.usage = dict(event.get("usage") or self.usage)
        for choice in event.get("choices") or ():
            place = int(choice.get("index", 0))
            text = choice.get("text")
            if text is None:
                text = (choice.get("delta") or {}).get("content") or ""
            if not isinstance(text, str):
                raise TypeError("its text is no string")
            tokens, likeliest = _chances(choice.get("logprobs") or {})
            if text or tokens:
                self.num_pieces[place] = self.num_pieces.get(place, 0) + 1
                yield Piece(text=text, choice=place, tokens=tokens, likeliest=likeliest)
            if choice.get("finish_reason"):
                self.finished.append(Piece(choice=place, finish=_finish(choice["finish_reason"])))

    def _counted(self, end: Piece) -> Piece:
        """An answer's usage is told for all its choices together."""
        num = self.num_pieces.get(end.choice, 0)
        if self.request.num_choices == 1:
            num = self.usage.get("completion_tokens", num)
        return replace(end, num_prompt_tokens=self.usage.get("prompt_tokens", 0), num_tokens=num)


def _finish(reason: str) -> FinishReason:
    return "length" if reason == "length" else "stop"


Chances = tuple[TokenChance, ...]


def _chances(told: Mapping[str, Any]) -> tuple[Chances, tuple[Chances, ...]]:
    """The tokens and the likeliest beside each, in the form of either of the two endpoints."""
    if told.get("content") is not None:
        content = told["content"]
        beside = tuple(tuple(map(_chance, each.get("top_logprobs") or ())) for each in content)
        return tuple(map(_chance, content)), beside
    names, logprobs = told.get("tokens") or (), told.get("token_logprobs") or ()
    tokens = tuple(
        TokenChance(token=name, id=None, logprob=float(value))
        for name, value in zip(names, logprobs, strict=True)
    )
    beside = tuple(
        tuple(
            TokenChance(token=name, id=None, logprob=float(value))
            for name, value in sorted(place.items(), key=lambda item: -item[1])
        )
        for place in told.get("top_logprobs") or ()
    )
    return tokens, beside


def _chance(token: Mapping[str, Any]) -> TokenChance:
    """llama-server tells ids, too; others do not."""
    return TokenChance(token=token["token"], id=token.get("id"), logprob=float(token["logprob"]))


def problem(answer: object) -> str:
    """What an error says, in one line of at most 300 characters."""
    error = answer.get("error", answer) if isinstance(answer, Mapping) else answer
    message = error.get("message") if isinstance(error, Mapping) else error
    line = " ".join(str(message or "no reason given").split())
    return "".join(char for char in line if char.isprintable())[:300]
