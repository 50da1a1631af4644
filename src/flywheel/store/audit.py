"""What owners and curators did: values ↔ rows, on the connection that the caller holds.

Entries are only ever added. They name what was acted on by its id, and hold no text of anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from flywheel.records import Role
from flywheel.store.corrections import lock
from flywheel.store.tables import audit


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One thing that somebody did."""

    at: str
    """UTC, ISO 8601."""
    user: str
    role: Role
    action: str
    """Such as `keys.add`, `versions.promote`, `corrections.confirm`."""
    target: str
    """The id of what it was done to."""


def put(conn: Connection, act: Act) -> None:
    """Adds an entry, in the transaction of what it tells of.

    Takes the lock of those who change corrections, so that two processes give no number twice. It
    is that one because a transaction holds what several writes took: of two locks, taken in either
    order, each could wait for the other.
    """
    lock(conn)
    number = (conn.scalar(select(func.max(audit.c.number))) or 0) + 1
    conn.execute(
        insert(audit).values(
            number=number,
            at=act.at,
            user=act.user,
            role=act.role,
            action=act.action,
            target=act.target,
        )
    )


def list_acts(conn: Connection, limit: int = 100, skip: int = 0) -> Sequence[Act]:
    """The latest acts, the latest first.

    Args:
        skip: leaves out so many of the latest; for paging.
    """
    query = select(audit).order_by(audit.c.number.desc()).limit(limit).offset(skip)
    return [
        Act(at=row.at, user=row.user, role=row.role, action=row.action, target=row.target)
        for row in conn.execute(query)
    ]
