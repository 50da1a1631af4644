"""What waits for the next turn: documents, feedback and corrections that came since the last one.

A turn keeps where things stood when it began, so that what came while it ran waits as well. What
came before any such mark is all that there is. Not here: whether a turn would promote what it
makes of it (gate.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flywheel.records import from_json, to_json
from flywheel.store import state
from flywheel.store.position import Position, num_corrections_since, position

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace

_TURNED = "turned"
"""The state that says where things stood when the last turn began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """What a turn would find new."""

    since: str | None
    """When the last turn began, UTC, ISO 8601; None where none is known."""
    num_added: int
    """Documents."""
    num_changed: int
    """Documents whose content, fate or access is another one."""
    num_deleted: int
    num_acts: int
    num_corrections: int
    """New, confirmed or otherwise decided on; those of them that are in force."""
    num_documents: int
    """All that are there."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is new."""
        new = (self.num_added, self.num_changed, self.num_deleted)
        return not any((*new, self.num_acts, self.num_corrections))


def pending(workspace: Workspace) -> Pending:
    """As of now."""
    with workspace.database.read() as conn:
        now = position(conn)
        kept: Mapping[str, Any] = state.get(conn, _TURNED) or {}
        before = from_json(Position, kept["position"]) if kept else Position()
        num_corrections = num_corrections_since(conn, before.last_change)
    # Deleted documents of a workspace without a turn were never in any version.
    num_deleted = max(0, now.num_deleted - before.num_deleted) if kept else 0
    num_added = max(0, now.num_documents - before.num_documents)
    if not kept:
        num_added -= now.num_deleted
    num_revisions = now.num_revisions - before.num_revisions
    return Pending(
        since=kept.get("at"),
        num_added=num_added,
        num_changed=max(0, num_revisions - num_added - num_deleted) if kept else 0,
        num_deleted=num_deleted,
        num_acts=max(0, now.num_acts - before.num_acts),
        num_corrections=num_corrections,
        num_documents=now.num_documents - now.num_deleted,
    )


def stand(workspace: Workspace) -> dict[str, Any]:
    """Where things stand, for `remember` once the turn has come to its end."""
    with workspace.database.read() as conn:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {"at": at, "position": to_json(position(conn))}


def remember(conn: Connection, stood: Mapping[str, Any]) -> None:
    """Keeps where things stood when a turn began that has come to its end."""
    state.put(conn, _TURNED, dict(stood))
