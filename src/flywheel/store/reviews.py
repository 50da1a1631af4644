"""What curators decided on what waited for them: values ↔ rows, on the caller's connection.

And what they decided on acts in quarantine, as far as a page asks for it. Not here: what waits
(review_lists.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, union_all, update

from flywheel.store.groups import in_groups
from flywheel.store.tables import corrections, quarantine, reviews


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A decision. One on the same item takes the place of the one before."""

    item: str
    """What was decided on: its kind and its name, such as `abstained:` and a normal form."""
    decision: str
    user: str
    at: str
    """UTC, ISO 8601."""
    change: int = 1
    """Grows with every decision on the item."""


def get(conn: Connection, item: str) -> Review | None:
    """The decision on an item, if there is one."""
    row = conn.execute(select(reviews).where(reviews.c.item == item)).one_or_none()
    return None if row is None else _review(row)


def of_kinds(conn: Connection, kinds: Sequence[str]) -> Iterator[Review]:
    """Every decision on items of these kinds."""
    begin = or_(*(reviews.c.item.startswith(f"{kind}:", autoescape=True) for kind in kinds))
    return map(_review, conn.execute(select(reviews).where(begin)))


def put(conn: Connection, review: Review) -> Review:
    """Keeps a decision, in the place of an earlier one. The caller holds the corrections' lock.

    Returns:
        It, with the change that it was given.
    """
    last = conn.scalar(select(reviews.c.change).where(reviews.c.item == review.item))
    kept = replace(review, change=(last or 0) + 1)
    values = {each.name: getattr(kept, each.name) for each in fields(kept)}
    if last is None:
        conn.execute(insert(reviews), values)
    else:
        conn.execute(update(reviews).where(reviews.c.item == review.item).values(values))
    return kept


def remove(conn: Connection, item: str) -> None:
    """Takes a decision back."""
    conn.execute(delete(reviews).where(reviews.c.item == item))


def count_since(conn: Connection, user: str, at: str) -> int:
    """How many items a user has decided on since then."""
    own = select(func.count()).select_from(reviews).where(reviews.c.user == user)
    return conn.scalar(own.where(reviews.c.at >= at)) or 0


def decided_acts(conn: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Who decided on those of these acts in quarantine that were decided on; by the act's id.

    A curator who confirmed an edit has decided on it, too.
    """
    found: dict[str, str] = {}
    for group in in_groups(ids):
        judged = select(quarantine.c.id, quarantine.c.decided_by).where(quarantine.c.id.in_(group))
        confirmed = select(corrections.c.id, corrections.c.decided_by).where(
            corrections.c.id.in_(group), corrections.c.verified, corrections.c.withdrawn == ""
        )
        found.update(iter(conn.execute(union_all(judged, confirmed))))
    return found


def undecide_acts(conn: Connection, ids: Sequence[str]) -> None:
    """Takes back what was decided on these acts in quarantine."""
    for group in in_groups(ids):
        conn.execute(delete(quarantine).where(quarantine.c.id.in_(group)))


def _review(row: Row[*tuple[Any, ...]]) -> Review:
    return Review(**row._mapping)
