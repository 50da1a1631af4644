"""What a training is told and what it tells: settings, data, and the report, as values.

Not here: the training itself (loop.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from flywheel.build.batches import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """How one objective is trained for."""

    num_steps: int
    """Of the optimizer."""
    batch_rows: int = 8
    """Rows (of `context` tokens, or preferences) that one step learns from."""
    micro_rows: int = 8
    """Rows that are computed at once; memory grows with them, the result stays the same."""
    learning_rate: float = 3e-4
    """At its peak."""
    weight_decay: float = 0.1
    """Of matrices; norms and biases have none."""
    clip: float = 1.0
    """The largest norm of a step's gradient."""
    seed: int = 1
    evaluate_every: int = 50
    """Steps between looks at the validation part, each of which leaves a checkpoint."""
    patience: int = 0
    """Looks without a better one, after which it ends; 0: it goes on to the end."""
    replay_share: float = 0.0
    """Of general text among the rows, where there is some."""
    precision: Literal["f32", "bf16"] = "f32"
    """Of the matrix products; weights and the optimizer's state keep theirs."""
    save_memory: bool = False
    """Computes activations twice instead of keeping them: a third slower."""
    max_seconds: float = math.inf
    """Where steps take longer than planned, the rate decays early, so as to end within it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingData:
    """What is learned from, and what is only looked at."""

    train: Rows
    validation: Rows | None = None
    replay: Rows | None = None
    """General text that is mixed in against forgetting; learned as next tokens, always."""
    general: Rows | None = None
    """General text that is held out: the loss on it before and after tells what was forgotten."""

    def parts(self) -> dict[str, Rows]:
        named = {name: getattr(self, name) for name in ("train", "validation", "replay", "general")}
        return {name: rows for name, rows in named.items() if rows is not None and len(rows)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgetting:
    """The loss on held-out general text, in nats a token."""

    before: float
    after: float

    @property
    def score(self) -> float:
        """How much was forgotten: 0.1 is a tenth of a nat a token."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What the validation part said after a number of steps."""

    step: int
    loss: float
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a training did, JSON-ready by records.to_json."""

    objective: str
    num_steps: int
    """That were taken."""
    best_step: int
    """After which the model was as it is now."""
    ended: Literal["steps", "patience", "time"]
    losses: tuple[float, ...]
    """Of each step."""
    validation: tuple[Evaluation, ...]
    """The first before any step."""
    forgetting: Forgetting | None
    num_tokens: int
    """That were computed, replay included."""
    tokens_per_second: float
    """While training, looks and checkpoints left out."""
    seconds: float
    """Of all of it, over all the runs that it took."""
    peak_memory_bytes: int
    """Of the card where there is one, else of the process."""
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a training stands after a step."""

    step: int
    num_steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float
