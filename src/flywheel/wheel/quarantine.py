"""Askers' acts that came in a burst: kept, not learned from, until a curator decides.

An act is in quarantine by its time and its user's others; only the decisions are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flywheel.errors import UsageError
from flywheel.learn.trust import bursts
from flywheel.records import Correction, Feedback, QuarantineDecision
from flywheel.store import corrections
from flywheel.store import feedback as feedback_store
from flywheel.store import quarantine as store

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """An act that came in a burst, and what a curator decided on it; empty while it waits."""

    act: Feedback
    decision: QuarantineDecision | None = None


def decisions(conn: Connection, in_force: Iterable[Correction]) -> dict[str, QuarantineDecision]:
    """What was decided, by the act's id; an edit that a curator has confirmed is released."""
    confirmed: dict[str, QuarantineDecision] = {
        each.id: "released" for each in in_force if each.verified
    }
    return store.decisions(conn) | confirmed


def quarantined(workspace: Workspace) -> list[Quarantined]:
    """Every act that came in a burst, the first one first, those decided on too."""
    with workspace.database.read() as conn:
        return _quarantined(conn, workspace)


def decide(
    workspace: Workspace,
    decision: QuarantineDecision,
    curator: str,
    ids: Sequence[str] = (),
    user: str = "",
) -> int:
    """Lets acts teach, or never; an earlier decision on them may be changed.

    Args:
        ids: the acts to decide on.
        user: with all of this user's acts that wait.

    Returns:
        How many acts were decided on.

    Raises:
        UsageError: one of the acts is not in quarantine, or none of the user's waits.
    """

    def write(conn: Connection) -> int:
        entries = _quarantined(conn, workspace)
        known = {each.act.id for each in entries}
        if missing := [id for id in ids if id not in known]:
            raise UsageError(f'The act "{missing[0]}" is not in quarantine.')
        waiting = [e.act.id for e in entries if e.act.user == user and e.decision is None]
        if user and not waiting:
            raise UsageError(f'No act of "{user}" waits in quarantine.')
        decided = sorted({*ids, *waiting} if user else set(ids))
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        store.decide(conn, decided, decision, curator, at)
        return len(decided)

    return workspace.database.write(write)


def _quarantined(conn: Connection, workspace: Workspace) -> list[Quarantined]:
    acts = list(feedback_store.list_feedback(conn))
    held = bursts(acts, workspace.settings.learn)
    decided = decisions(conn, corrections.in_force(conn)) if held else {}
    return [Quarantined(act=act, decision=decided.get(act.id)) for act in acts if act.id in held]
