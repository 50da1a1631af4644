"""Interactions that a user bookmarked an answer of, on the connection that the caller holds."""

from __future__ import annotations

from sqlalchemy import Connection, Select, and_, exists, func, select, tuple_

from flywheel.store.interactions import Line
from flywheel.store.tables import feedback, interactions


def list_page(
    conn: Connection,
    user: str,
    *,
    before: tuple[str, str] | None = None,
    search: str = "",
    limit: int = 50,
) -> list[Line]:
    """What a user asked and bookmarked an answer of, the latest question first.

    Args:
        before: goes on behind the `at` and `id` of a line.
        search: words that all stand in the question, each as a part of it; their case counts not.
    """
    columns = interactions.c
    query = select(*(columns[name] for name in Line.__dataclass_fields__))
    query = query.where(columns.user == user, columns.question != "", columns.id.in_(_kept(user)))
    if before:
        query = query.where(tuple_(columns.at, columns.id) < before)
    for word in search.split():
        query = query.where(columns.question.icontains(word, autoescape=True))
    rows = conn.execute(query.order_by(columns.at.desc(), columns.id.desc()).limit(limit))
    return [Line(**row._mapping) for row in rows]


def _kept(user: str) -> Select[tuple[str]]:
    """The interactions of bookmarks that were not taken back since."""
    act, later = feedback.alias("act"), feedback.alias("later")
    is_taken_back = exists().where(
        and_(
            later.c.interaction == act.c.interaction,
            later.c.user == user,
            later.c.kind == "retract",
            func.coalesce(later.c.candidate, 0) == func.coalesce(act.c.candidate, 0),
            tuple_(later.c.at, later.c.id) > tuple_(act.c.at, act.c.id),
        )
    )
    return select(act.c.interaction).where(
        act.c.user == user, act.c.kind == "bookmark", act.c.content != "", ~is_taken_back
    )
