"""The values that cross every stage: frozen, keyword-only, and ignorant of tables and files.

`to_json` and `from_json` are the one place where values become JSON and come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

Language = Literal["en", "zh-hans", "zh-hant", "mixed", "other"]
Fate = Literal["kept", "superseded", "duplicate", "dropped", "failed", "unchanged"]
Kind = Literal["answer", "ask_back", "abstain"]
FeedbackKind = Literal[
    "up", "down", "edit", "rank", "bookmark", "delete", "flag", "cite", "retract"
]
"""`retract` takes back what its user said of an answer with up, down, bookmark, delete or flag."""
Role = Literal["asker", "curator", "owner"]
QuarantineDecision = Literal["released", "rejected"]

PUBLIC = "public"
"""The access label of whatever everybody may read."""


class StageSettings(BaseModel):
    """Base of every stage's settings: frozen, checked on construction, unknown keys refused.

    The docstring under a field is what `flywheel init` writes above it in flywheel.toml.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One extracted text with its provenance.

    `text` is shaped like Markdown: `#` lines are headings, `|` lines are table rows.
    """

    id: str
    """Stable for a (source, path), whatever the content."""
    source: str
    """What the user named: an absolute path or a URL."""
    path: str
    """The file within the source; members of an archive as `manual.zip!/chapter.md`."""
    title: str
    text: str
    language: Language
    date: str = ""
    """The edition's date, ISO 8601 and possibly short (`2025`, `2025-09`), or empty."""
    modified: float = 0.0
    """Seconds since the epoch."""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """The unit that is retrieved and cited, with its headings."""

    id: str
    document: str
    """The document's id."""
    title: str
    headings: tuple[str, ...]
    """From the outermost to the innermost, the document's title left out."""
    text: str
    language: Language
    position: int
    """Its place in the document, from 0."""
    path: str = ""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A passage that a search found. Higher scores are better; 0 where a field did not match."""

    passage: Passage
    score: float
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Citation:
    """An exact span of a passage that supports the answer: `passage.text[start:end] == quote`."""

    document: str
    title: str
    headings: tuple[str, ...]
    passage: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a question led to. `draft` is the best answer before deciding to give it."""

    question: str
    answer: str
    draft: str
    kind: Kind
    confidence: float
    """P(the first citation hits the right evidence), calibrated."""
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    """What was found, best first; at most ten."""
    choices: tuple[str, ...] = ()
    """The readings to choose from, where `kind` is `ask_back`."""
    verified: bool = False
    correction: str = ""
    """The id of the correction that answered; empty where the documents did."""
    is_written: bool = False
    """A model worded it; else the documents are quoted."""
    shortfall: str = ""
    """Why they are quoted although a model was to word the answer; else empty."""
    version: int = 0
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interaction:
    """One request, all its candidates and what produced them."""

    id: str
    question: str
    candidates: tuple[Answer, ...]
    version: int
    user: str
    at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """One act by one user on a candidate of a question. What it teaches is decided later."""

    id: str
    kind: FeedbackKind
    user: str
    role: Role
    at: str
    """UTC, ISO 8601."""
    question: str = ""
    interaction: str = ""
    """The id of the interaction that it is about, where there was one."""
    candidate: int | None = None
    """Which of the candidates, from 0."""
    answer: str = ""
    """The text acted on; for an `edit` the ideal answer."""
    evidence: tuple[str, ...] = ()
    """Verbatim text of the sources."""
    candidates: tuple[str, ...] = ()
    """The answers that were shown, where `order` ranks them."""
    order: tuple[int, ...] = ()
    """The candidates from the best to the worst."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A question with its ideal answer and evidence."""

    id: str
    question: str
    answer: str
    evidence: tuple[str, ...]
    """Verbatim text of the sources."""
    passages: tuple[str, ...]
    """The ids of the passages that hold the evidence."""
    user: str
    role: Role
    at: str
    """UTC, ISO 8601."""
    verified: bool
    """From a curator or the owner, or confirmed by one: served to all."""
    disputed: bool = False
    """Another curator or owner says otherwise."""
    review: str = ""
    """Why it waits for review; empty where it does not."""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One supervised training item: a question, and what is known to answer it."""

    id: str
    """Of the feedback that taught it, so that a version leads back to what it learned from."""
    question: str
    answer: str = ""
    """The ideal answer, where an edit gave one."""
    evidence: tuple[str, ...] = ()
    """Verbatim text of the sources, where it was named."""
    passages: tuple[str, ...] = ()
    """The ids of the passages that hold the evidence."""
    rejected: tuple[str, ...] = ()
    """The ids of passages that were shown and found wrong."""
    weight: float = 1.0
    """How much it counts beside a curator's word, within (0, 1]."""
    group: str = ""
    """Questions that ask nearly the same share it; none learns from its own group's feedback."""
    user: str = ""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """One pair of answers to a question, of which a user preferred the first."""

    id: str
    """Of the feedback that it stands in."""
    question: str
    chosen: str
    rejected: str
    weight: float = 1.0
    group: str = ""
    user: str = ""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation, as engines and chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """One supervised item for a model: the assistant's messages are what it learns to say."""

    messages: tuple[Message, ...]
    weight: float = 1.0
    """How much its loss counts, within (0, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationPair:
    """One preference for a model: two replies to the same conversation, the first the better."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamQuestion:
    """One held-out question. `evidence` is verbatim text of the sources."""

    id: str
    question: str
    answer: str | None = None
    evidence: tuple[str, ...] = ()
    answerable: bool = True
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A metric's value with its bootstrap interval and the number of items behind it."""

    value: float
    low: float
    high: float
    count: int


T = TypeVar("T")


_adapters: dict[type[Any], TypeAdapter[Any]] = {}
"""One for each kind of record, since making it takes longer than a hundred uses of it."""


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def to_json(value: Any) -> dict[str, Any]:
    """A record as JSON-ready data."""
    data: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return data


def from_json(kind: type[T], data: dict[str, Any]) -> T:
    """The record that `to_json` gave the data of.

    Raises:
        pydantic.ValidationError: a field is missing or of the wrong type.
    """
    record: T = _adapter(kind).validate_python(data)
    return record
