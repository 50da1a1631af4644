"""The audit log as owners read it: by user and action, page by page, or all of it as JSON Lines.

Only read here: each act is written down by what does it (keys.record).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.records import to_json
from flywheel.store import audit
from flywheel.store.audit import Entry

if TYPE_CHECKING:
    from flywheel.store.database import Database

MAX_USERS = 200
"""So many names are offered to choose from."""
EXPORT_ACTS = 2_000
"""Read at a time when all are exported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which acts to show."""

    user: str | None = None
    """Whose; the empty name is of users who were erased, None is everybody."""
    action: str = ""
    """Such as `keys.add`; empty is all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPage:
    """Some acts, the latest first."""

    entries: tuple[Entry, ...]
    before: int | None
    """What the next page takes; None where this one is the last."""


def page(database: Database, wanted: Wanted, *, limit: int, before: int | None = None) -> AuditPage:
    """A page of the acts.

    Args:
        before: of the page before; None for the first page.
    """
    with database.read() as conn:
        found = audit.page(conn, limit + 1, before=before, user=wanted.user, action=wanted.action)
    shown = tuple(found[:limit])
    return AuditPage(entries=shown, before=shown[-1].number if len(found) > limit else None)


def users(database: Database) -> list[str]:
    """Who did something, by name; at most so many as one can choose from."""
    with database.read() as conn:
        return audit.users(conn, MAX_USERS)


def exported(database: Database, wanted: Wanted) -> Iterator[str]:
    """All acts as JSON Lines, the latest first; each piece is a read of its own, so that nobody who
    reads slowly holds up what clears the database's log."""
    before: int | None = None
    while True:
        found = page(database, wanted, limit=EXPORT_ACTS, before=before)
        yield "".join(
            json.dumps(to_json(each.act), ensure_ascii=False) + "\n" for each in found.entries
        )
        if found.before is None:
            return
        before = found.before
