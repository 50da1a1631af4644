"""What an owner may set of the answers: apart from them, so that reading it imports little."""

from __future__ import annotations

from pydantic import Field

from flywheel.records import StageSettings


class QuoteSettings(StageSettings):
    """How much of the documents an answer quotes."""

    max_words: int = Field(default=250, ge=20, le=400)
    """Longest quote, in English words; a Chinese one has 1.8 characters for each."""
    short_words: int = Field(default=85, ge=0, le=400)
    """The next best passage joins the best, if it is nearly as good and both stay under this."""


class DecideSettings(StageSettings):
    """When the assistant speaks."""

    wrong_cost: float = Field(default=0.5, ge=0, le=100)
    """How many right answers one wrong answer outweighs. 0 answers always; 3 is careful."""


class WriteSettings(StageSettings):
    """How a model writes, where the exam lets one: from the passages, with citations."""

    context_tokens: int = Field(default=1500, ge=100, le=100_000)
    """Tokens of the question and the passages that the model is given to read."""
    max_tokens: int = Field(default=300, ge=10, le=10_000)
    """Longest answer."""
