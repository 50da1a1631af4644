"""Interactions that a user bookmarked an answer of, on the connection that the caller holds."""

from __future__ import annotations

from sqlalchemy import Connection, Select, and_, exists, func, select, tuple_

from flywheel.store import interactions as every
from flywheel.store.interactions import Line
from flywheel.store.tables import feedback


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
    return every.list_page(conn, user, before=before, search=search, limit=limit, among=_kept(user))


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
