"""What every engine can do: generate for messages, embed, and stop when nobody listens any more.

A generation is an iterator; whoever stops reading closes it, and the engine frees the slot:

    with engine.generate(Request(messages=messages)) as generation:
        for piece in generation:
            print(piece.text, end="")

Not here: what to ask (answer/prompt.py) and what to make of the words (answer/write.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from flywheel.records import Message

FinishReason = Literal["stop", "length", "cancelled"]
"""It came to its end or to a stop text; to `max_tokens`; or nobody listened any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is drawn."""

    max_tokens: int = 256
    temperature: float = 0.0
    """0 takes the likeliest token, always."""
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts that end the generation; they are not part of it."""
    num_logprobs: int = 0
    """How many of the likeliest tokens are told beside each one that is generated. Chances are the
    model's own: before temperature, `top_p` and schema."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One generation: messages, or a prompt that is continued as it stands."""

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    """Used where there are no messages: no chat template, special tokens are read as such."""
    prompt_ids: tuple[int, ...] = ()
    """The same as token ids, which are taken as they stand; used where there is no other."""
    sampling: Sampling = field(default_factory=Sampling)
    num_choices: int = 1
    json_schema: dict[str, Any] | None = None
    """What the answer must be valid against."""
    adapter: str = ""
    """The name of a LoRA adapter that the engine was opened with; empty: the model alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenChance:
    """A token and the logarithm (base e) of its chance."""

    token: str
    id: int | None
    """None where a remote engine does not tell."""
    logprob: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What a generation gives: some text, or with `finish` the end of one choice."""

    text: str = ""
    choice: int = 0
    tokens: tuple[TokenChance, ...] = ()
    """The tokens of the text, where `num_logprobs` asked for them. Of those that make up one
    character together, only the last may be told."""
    likeliest: tuple[tuple[TokenChance, ...], ...] = ()
    """Beside each of `tokens`, the likeliest ones at its place."""
    finish: FinishReason | None = None
    num_prompt_tokens: int = 0
    """Told with `finish`, as the next one is."""
    num_tokens: int = 0


class Generation(Protocol):
    """Pieces as they come. Closing it cancels what has not come yet, and frees the slot."""

    def __iter__(self) -> Iterator[Piece]: ...

    def several(self, seconds: float = 0.0) -> list[Piece]:
        """The next pieces, at least one, which get so much time to gather; none at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def close(self) -> None:
        """Cancels; once is enough, and after the end it does nothing."""


class Engine(Protocol):
    """Anything that generates tokens. Safe to use from several threads."""

    name: str
    """What an answer's origin is told by: a file's name, or a model's at a host."""

    def generate(self, request: Request) -> Generation:
        """Starts a generation.

        Raises:
            EngineError: it cannot be reached, refuses the request, or broke off; also while
                iterating.
        """

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A unit vector for each text.

        Raises:
            EngineError: as above, or it has no embeddings.
        """

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has; an upper estimate where a remote engine does not tell."""

    def close(self) -> None:
        """Ends all generations and gives the memory back."""
