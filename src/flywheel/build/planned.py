"""A plan, as a value: what to train, how, what it will take and why; and what it took after all.

Not here: how it is made (plan.py) and worded (reasons.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flywheel.build.footprint import Footprint, Step
from flywheel.build.shape import Shape

Objective = Literal["next_token", "supervised", "preference"]
Device = Literal["cpu", "cuda"]

GIB = 2**30

KEPT = 1.8
"""What the C library may hold of the memory in use, where it is not asked to give freed memory
back at once (allocator.py)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One recommended value, why, and whose rule it is."""

    what: str
    value: str
    why: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One part of the training."""

    objective: Objective
    num_tokens: int
    num_steps: int
    epochs: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to train, how, and what it will take."""

    base: str
    """As in the settings; "new" where it is from scratch."""
    device: Device
    step: Step
    phases: tuple[Phase, ...]
    memory: Footprint
    memory_limit: int
    """What may be used, in bytes."""
    seconds_limit: float
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    """What an owner should know besides, a sentence or two each."""

    @property
    def shape(self) -> Shape:
        return self.step.shape

    @property
    def memory_bytes(self) -> int:
        """The predicted peak, above what the process holds before the model is there."""
        return self.memory.total

    @property
    def is_tight(self) -> bool:
        """Whether freed memory has to go back at once, which costs time, for it to fit."""
        return KEPT * self.memory_bytes > self.memory_limit

    @property
    def seconds(self) -> float:
        """Predicted, of the steps of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def num_tokens(self) -> int:
        return sum(phase.num_tokens for phase in self.phases)

    @property
    def num_text_tokens(self) -> int:
        """Of the documents, exercises and preferences left out."""
        return sum(phase.num_tokens for phase in self.phases if phase.objective == "next_token")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was predicted beside what was measured. A ratio over 1: it took more."""

    predicted_bytes: int
    measured_bytes: int
    memory_ratio: float
    predicted_seconds: float
    measured_seconds: float
    time_ratio: float


def outcome(plan: Plan, measured_bytes: int, measured_seconds: float) -> Outcome:
    """How well a plan foretold its training.

    Args:
        measured_bytes: the peak above what the process held before the model was there.
        measured_seconds: of the steps that the plan counted.
    """
    return Outcome(
        predicted_bytes=plan.memory_bytes,
        measured_bytes=measured_bytes,
        memory_ratio=measured_bytes / plan.memory_bytes,
        predicted_seconds=plan.seconds,
        measured_seconds=measured_seconds,
        time_ratio=measured_seconds / plan.seconds,
    )
