"""Whether feedback can be learned from: its health, and what is left out of the learning, and why.

Without copies of exam questions, which a turn leaves out on top and counts in its reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.learn import health as measuring
from flywheel.learn.health import Measure
from flywheel.learn.objections import ERASED, REASONS
from flywheel.store import feedback as feedback_store
from flywheel.wheel import learning, quarantine

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What there is to say on all feedback before it is learned."""

    measures: tuple[Measure, ...]
    num_acts: int
    num_examples: int
    num_preferences: int
    left_out: dict[str, tuple[str, ...]]
    """The ids of acts that teach nothing, by reason."""
    position_exponent: float
    """How steeply attention falls with the place in a list (learn/propensity.py)."""


def health(workspace: Workspace) -> Health:
    """The health of all feedback that is not held back."""
    with workspace.database.read() as conn:
        acts = list(feedback_store.list_feedback(conn))
        erased = tuple(feedback_store.erased(conn))
    held = {e.act.id for e in quarantine.quarantined(workspace) if e.decision != "released"}
    learned = learning.learned(workspace)
    ids = {
        reason: tuple(each.id for each in learned.left_out if each.reason == reason)
        for reason in REASONS
    }
    return Health(
        measures=measuring.measure(act for act in acts if act.id not in held),
        num_acts=len(acts),
        num_examples=len(learned.examples),
        num_preferences=len(learned.preferences),
        left_out={reason: left for reason, left in (ids | {ERASED: erased}).items() if left},
        position_exponent=learned.eta,
    )
