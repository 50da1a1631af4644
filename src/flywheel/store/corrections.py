"""Corrections: values ↔ rows, on the connection that the caller holds.

What a correction says never changes; whether it is verified, disputed, due for review or
withdrawn is marked. Every change has a number, so that who serves them reads only what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from flywheel.records import Correction
from flywheel.store.groups import in_groups
from flywheel.store.tables import corrections

_MARKS = ("passages", "verified", "disputed", "review", "access", "withdrawn", "decided_by")
_VALUES = [each.name for each in fields(Correction)]
_TUPLES = ("evidence", "passages", "access")

_LOCK = 0x666C7963
"""PostgreSQL's advisory lock of those who change corrections; any constant will do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A correction as it is kept: with what decides on it, and what became of it."""

    correction: Correction
    key: str
    """The question's normal form."""
    readable: tuple[str, ...] | None = None
    """What its author may read; None is everything."""
    withdrawn: str = ""
    """Why it serves no more; empty where it is in force."""
    decided_by: str = ""
    """The curator who confirmed or withdrew it."""
    change: int = 0
    """Set by the store: grows with every change of any correction."""


def lock(conn: Connection) -> None:
    """Lets nobody else change corrections until this write is committed.

    Two curators who contradict each other in the same moment would not see each other otherwise.
    """
    if conn.dialect.name == "postgresql":  # SQLite has one writer anyway
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def put_all(conn: Connection, entries: Sequence[Entry]) -> None:
    """Keeps new corrections. The caller holds the lock."""
    change = latest_change(conn) + 1
    last = conn.scalar(select(func.max(corrections.c.number))) or 0
    rows = [
        _row(each) | {"change": change, "number": number}
        for number, each in enumerate(entries, start=last + 1)
    ]
    if rows:
        conn.execute(insert(corrections), rows)


def mark_all(conn: Connection, entries: Sequence[Entry]) -> None:
    """Writes the marks of corrections that are there. The caller holds the lock."""
    change = latest_change(conn) + 1
    for each in entries:
        row = _row(each)
        marks = {name: row[name] for name in _MARKS} | {"change": change}
        id = each.correction.id
        conn.execute(update(corrections).where(corrections.c.id == id).values(marks))


def get(conn: Connection, id: str) -> Entry | None:
    """The correction of that id, if there is one."""
    row = conn.execute(select(corrections).where(corrections.c.id == id)).one_or_none()
    return None if row is None else _entry(row)


def in_force(conn: Connection) -> Iterator[Correction]:
    """Every correction that is not withdrawn, the first one first.

    Streams: use it while the connection is open.
    """
    return (each.correction for each in entries_in_force(conn))


def entries_in_force(conn: Connection) -> Iterator[Entry]:
    """The same, as they are kept."""
    query = select(corrections).where(corrections.c.withdrawn == "")
    rows = conn.execute(query.order_by(*_ORDER).execution_options(yield_per=1000))
    return map(_entry, rows)


def of_keys(conn: Connection, keys: Sequence[str]) -> dict[str, list[Entry]]:
    """The corrections in force of each question that has any, by its normal form."""
    found: dict[str, list[Entry]] = {}
    for group in in_groups(keys):
        query = select(corrections).where(
            corrections.c.key.in_(group), corrections.c.withdrawn == ""
        )
        for row in conn.execute(query.order_by(*_ORDER)):
            found.setdefault(row.key, []).append(_entry(row))
    return found


def changed_since(conn: Connection, change: int) -> list[Entry]:
    """What was put, marked or withdrawn after that change, which `latest_change` gave."""
    query = select(corrections).where(corrections.c.change > change).order_by(*_ORDER)
    return [_entry(row) for row in conn.execute(query)]


def latest_change(conn: Connection) -> int:
    """The number of the last change; 0 where there is no correction."""
    return conn.scalar(select(func.max(corrections.c.change))) or 0


_ORDER = (corrections.c.at, corrections.c.number)


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry.correction, name) for name in _VALUES}
    row |= {name: list(row[name]) for name in _TUPLES}
    readable = None if entry.readable is None else list(entry.readable)
    return row | {
        "key": entry.key,
        "readable": readable,
        "withdrawn": entry.withdrawn,
        "decided_by": entry.decided_by,
    }


def _entry(row: Row[*tuple[Any, ...]]) -> Entry:
    values = dict(row._mapping)
    correction = {name: values[name] for name in _VALUES}
    correction |= {name: tuple(correction[name]) for name in _TUPLES}
    return Entry(
        correction=Correction(**correction),
        key=row.key,
        readable=None if row.readable is None else tuple(row.readable),
        withdrawn=row.withdrawn,
        decided_by=row.decided_by,
        change=row.change,
    )
