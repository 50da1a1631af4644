"""The bodies of the OpenAI API, as its reference has them, and what Flywheel adds to the replies.

Fields that mean nothing here are taken and left alone, so that clients which always send them work;
fields that would change the answer and cannot are refused by name. What is added stands under
`flywheel`, where strict clients do not look.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_CANDIDATES = 4
MAX_TEXTS = 256
"""Texts in one request for embeddings, as many as answer in a few seconds on a small machine."""


MAX_REPEATS = 1_000
"""Items of a list in a JSON schema. An engine writes its grammar out: 10^8 of them held it up for
good, and 10^5 took 350 MB."""
MAX_MISTAKES = 50
"""That a refusal is made from. A megabyte holds 500,000, and to tell them all, of which a caller
hears one, took 14 s that nobody else was answered in."""

T = TypeVar("T")
Each = Annotated[list[T], Field(fail_fast=True)]
"""A list that is looked through up to the first item that is wrong."""


class Body(BaseModel):
    """A request's body: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _few_mistakes(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(data)
        except ValidationError as error:
            if error.error_count() <= MAX_MISTAKES:
                raise
            raise PydanticCustomError(
                "many_mistakes", "It is wrong in {num} places.", {"num": error.error_count()}
            ) from None


class Part(BaseModel):
    """A part of a message; only texts are read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message. Other fields than these come back from clients as they got them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Each[Part] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _is_text(cls, content: Any) -> Any:
        parts = content if isinstance(content, list) else []
        if any(isinstance(part, dict) and part.get("type") != "text" for part in parts):
            raise ValueError("only texts are read here: no pictures, sounds or files")
        return content

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Body):
    """What a stream tells beside its text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchema(BaseModel):
    """A schema that the answer must be valid against."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    name: str = "answer"
    schema_: dict[str, Any] = Field(alias="schema", default_factory=dict)
    strict: bool | None = None

    @field_validator("schema_")
    @classmethod
    def _repeats_little(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if any(count > MAX_REPEATS for count in _counts(schema)):
            raise ValueError(f"minItems and maxItems may be {MAX_REPEATS:,} at most")
        return schema


def _counts(schema: Any) -> Iterator[float]:
    """How many items a schema asks for, in each of its places."""
    if isinstance(schema, list):
        for each in schema:
            yield from _counts(each)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name in ("minItems", "maxItems") and isinstance(value, int | float):
                yield value
            yield from _counts(value)


class ResponseFormat(Body):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self

    @property
    def schema_of(self) -> dict[str, Any] | None:
        """What the engine is to keep to; None for any text."""
        if self.type == "text":
            return None
        return self.json_schema.schema_ if self.json_schema else {"type": "object"}


class SamplingBody(Body):
    """How an answer is drawn, in both kinds of completions."""

    model: str = Field(
        max_length=200,
        description="`flywheel` is the version that serves; GET /v1/models lists the others.",
        examples=["flywheel"],
    )
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, le=MAX_CANDIDATES)
    stop: str | Each[str] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    # Taken and left alone.
    user: str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None

    @field_validator("stop")
    @classmethod
    def _few(cls, stop: str | list[str] | None) -> str | list[str] | None:
        texts = [stop] if isinstance(stop, str) else stop or []
        if len(texts) > 4 or any(not 0 < len(text) <= 200 for text in texts):
            raise ValueError("give up to 4 texts of 1 to 200 characters")
        return stop

    @model_validator(mode="after")
    def _streams_what_it_opts_for(self) -> SamplingBody:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options are for streams: set stream to true")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class Extension(Body):
    """What Flywheel takes beside the fields that all clients know."""

    beside: Each[Annotated[int, Field(ge=1, lt=10**9)]] = Field(
        default=[],
        max_length=MAX_CANDIDATES - 1,
        description="Numbers of versions whose answers come along, as further candidates of the "
        "same interaction. Together with `n` there are at most "
        f"{MAX_CANDIDATES}.",
    )


class ChatBody(SamplingBody):
    """A request for an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "flywheel",
                    "messages": [{"role": "user", "content": "Where is the child lock?"}],
                },
                {
                    "model": "flywheel",
                    "stream": True,
                    "messages": [{"role": "user", "content": "儿童锁在哪里？"}],
                },
                {
                    "model": "flywheel",
                    "messages": [{"role": "user", "content": "Where is the child lock?"}],
                    "flywheel": {"beside": [1]},
                },
            ]
        }
    )

    messages: Each[ChatMessage] = Field(min_length=1, max_length=2000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    flywheel: Extension | None = None
    # Taken and left alone.
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    modalities: Each[str] | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prediction: Any = None
    audio: Any = None
    moderation: Any = None
    web_search_options: Any = None

    @field_validator("messages")
    @classmethod
    def _asks(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not any(each.role == "user" and each.text.strip() for each in messages):
            raise ValueError("there is no message of the user that says anything")
        return messages

    @model_validator(mode="after")
    def _few_candidates(self) -> ChatBody:
        if (self.n or 1) + len(self.beside) > MAX_CANDIDATES:
            raise ValueError(f"n and beside are {MAX_CANDIDATES} candidates at most, together")
        return self

    @property
    def beside(self) -> tuple[int, ...]:
        """The versions whose answers come along, each once."""
        return tuple(dict.fromkeys(self.flywheel.beside)) if self.flywheel else ()

    @property
    def most_tokens(self) -> int | None:
        """The longest answer; None where nothing bounds it but the model."""
        return self.max_completion_tokens or self.max_tokens


class CompletionBody(SamplingBody):
    """A request for a text's continuation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "flywheel-bare", "prompt": "The child lock ", "max_tokens": 16}]
        }
    )

    prompt: str | Each[str] | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5)
    # Taken where they ask for what is done anyway.
    best_of: int | None = Field(default=None, ge=1, le=MAX_CANDIDATES)
    echo: bool | None = None
    suffix: str | None = None

    @property
    def text(self) -> str:
        """What is continued.

        Raises:
            ValueError: there are several texts.
        """
        if isinstance(self.prompt, list):
            if len(self.prompt) != 1:
                raise ValueError("give one prompt")
            return self.prompt[0]
        return self.prompt or ""


class EmbeddingsBody(Body):
    """A request for vectors."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "flywheel-embedding", "input": ["Where is the child lock?"]}]
        }
    )

    model: str = Field(max_length=200)
    input: str | Each[str] | Each[int] | Each[Each[int]]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(default=None, ge=1, le=100_000)
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """What is embedded.

        Raises:
            ValueError: tokens, which are of no tokenizer that is known here; none, or too many.
        """
        texts = [self.input] if isinstance(self.input, str) else list(self.input)
        if any(not isinstance(text, str) for text in texts):
            raise ValueError("give texts: tokens of another tokenizer mean nothing here")
        found = [text for text in texts if isinstance(text, str)]
        if not 1 <= len(found) <= MAX_TEXTS or not all(found):
            raise ValueError(f"give 1 to {MAX_TEXTS} texts, none of them empty")
        return found


class Usage(BaseModel):
    """Tokens; where no model took part, words and Chinese characters instead."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CitationOut(BaseModel):
    """An exact span of a passage, in code points."""

    document: str
    title: str
    headings: list[str]
    passage: str
    quote: str
    start: int
    end: int


class AboutAnswer(BaseModel):
    """What Flywheel tells of one candidate."""

    kind: Literal["answer", "ask_back", "abstain"]
    version: int = Field(description="the one that answered, or in whose place a correction did")
    confidence: float = Field(description="P(the first citation hits the right evidence)")
    verified: bool = Field(description="a curator's words")
    is_written: bool = Field(description="a model worded it; else the documents are quoted")
    citations: list[CitationOut]
    choices: list[str] = Field(description="the readings to choose from, where it asks back")
    shortfall: str = Field(description="why the documents are quoted although a model was to write")


class AboutReply(BaseModel):
    """What Flywheel tells of a whole reply."""

    interaction: str = Field(description="what feedback refers to; empty where nothing is kept")
    version: int
    question: str = Field(description="as it was understood, follow-ups resolved")
    cached: Literal["", "exact", "paraphrase"]
    moderation: list[str] = Field(description="categories that moderation found")


class MessageOut(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChoiceOut(BaseModel):
    index: int
    message: MessageOut
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: Any = None
    flywheel: AboutAnswer | None = None


class ChatReply(BaseModel):
    """An answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceOut]
    usage: Usage
    flywheel: AboutReply | None = None


class TextChoice(BaseModel):
    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: Any = None


class CompletionReply(BaseModel):
    """A continuation."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


class ModelOut(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelOut]


class EmbeddingOut(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    object: Literal["list"]
    model: str
    data: list[EmbeddingOut]
    usage: EmbeddingUsage


class ErrorInside(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """What every error looks like."""

    error: ErrorInside


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply, "description": about}
    for status, about in {
        400: "the request cannot mean anything",
        401: "no valid key",
        403: "the key's role does not allow it",
        404: "not there, or not the caller's to see",
        408: "the body came too slowly",
        409: "not in this state",
        413: "too large",
        414: "the address is too long",
        415: "of another type",
        421: "asked under another name",
        429: "too many requests; Retry-After says when to come again",
        431: "the headers are too large",
        500: "a defect of the server",
        502: "the engine failed",
        503: "too busy, or not ready yet",
        504: "it took too long",
    }.items()
}
"""What any route may answer with, for the OpenAPI document."""

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole; or with `stream` in events, the last of them `[DONE]`.",
        "content": {"text/event-stream": {"example": "data: {…}\n\ndata: [DONE]\n\n"}},
    }
}
"""What a route may answer with that streams."""
