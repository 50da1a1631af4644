"""What owners and curators did: values ↔ rows, on the connection that the caller holds.

Entries are only ever added. They name what was acted on by its id, and hold no text of anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

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
    return [_act(row) for row in conn.execute(query)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An act in its place in the log."""

    number: int
    """Grows with each act."""
    act: Act


def page(
    conn: Connection,
    limit: int,
    *,
    before: int | None = None,
    user: str | None = None,
    action: str = "",
) -> list[Entry]:
    """Acts, the latest first: a page of them, however many there are.

    Args:
        before: only those with a smaller number: where the page before ended.
        user: only his; the empty name is of users who were erased. None is everybody.
        action: only such; empty is all.
    """
    query = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.number < before)
    if user is not None:
        query = query.where(audit.c.user == user)
    if action:
        query = query.where(audit.c.action == action)
    return [Entry(number=row.number, act=_act(row)) for row in conn.execute(query)]


def latest(conn: Connection, action: str, target: str | None = None) -> Act | None:
    """The last act of a kind, on a target; None where there was none."""
    query = select(audit).where(audit.c.action == action).order_by(audit.c.number.desc()).limit(1)
    if target is not None:
        query = query.where(audit.c.target == target)
    row = conn.execute(query).one_or_none()
    return None if row is None else _act(row)


def last_number(conn: Connection) -> int:
    """The number of the last act; 0 where there is none."""
    return conn.scalar(select(func.max(audit.c.number))) or 0


def users(conn: Connection, limit: int) -> list[str]:
    """Who is named in the log, by name: each is looked up in the index, and no act is read."""
    names = select(func.min(audit.c.user).label("name")).cte("names", recursive=True)
    after = select(func.min(audit.c.user)).where(audit.c.user > names.c.name).scalar_subquery()
    names = names.union_all(select(after).where(names.c.name.is_not(None)))
    query = select(names.c.name).where(names.c.name.is_not(None)).limit(limit)
    return list(conn.scalars(query))


def _act(row: Row[*tuple[Any, ...]]) -> Act:
    return Act(at=row.at, user=row.user, role=row.role, action=row.action, target=row.target)
