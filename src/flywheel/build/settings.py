"""What an owner may set of a model of one's own: apart from what builds it, which imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flywheel.records import StageSettings

Precision = Literal["f32", "f16", "q8_0", "q4_0"]
"""How the served file keeps its weights, as GGUF names them."""


MODEL_FILE = "model.gguf"
"""What serves, in a model's artifact."""
REPORT_FILE = "report.json"
"""Beside it: what the model is, how it was built, and what it is worth (`specialist.Made`)."""


class BuildSettings(StageSettings):
    """A language model of one's own: `flywheel turn --model` builds it, `flywheel plan` says what
    fits."""

    base: str = ""
    """What it starts from: a folder, a name on the Hugging Face hub that is in the local cache, or
    "new" for a small model from scratch. Empty: no model is built."""
    vocabulary: int = Field(default=0, ge=0, le=1_000_000)
    """Tokens that the base's vocabulary is trimmed to, or that a new one has. 0: as planned."""
    max_minutes: float = Field(default=60, gt=0, le=100_000)
    """Time that training may take on this machine."""
    max_memory_gb: float = Field(default=0, ge=0)
    """Memory that training may take, of the card where there is one. 0: what is free."""
    data: tuple[str, ...] = ()
    """Files of conversations and preferences to learn from besides the users' own, relative to the
    workspace: `messages`, `prompt/chosen/rejected`, Alpaca or ShareGPT, as JSON or JSON Lines."""
    general: tuple[str, ...] = ()
    """Text files of general language, relative to the workspace: mixed in, so that the base
    forgets less of it."""
    precision: Precision = "q8_0"
    """How the served file keeps its weights: f32, f16, q8_0 or q4_0."""
