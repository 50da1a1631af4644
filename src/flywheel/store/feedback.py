"""Feedback: values ↔ rows, on the connection that the caller holds.

Append-only: an act never changes once it is put; only erasure takes its text away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, distinct, func, insert, select

from flywheel.records import Feedback, from_json, to_json
from flywheel.store.groups import in_groups
from flywheel.store.tables import feedback, interactions

_COLUMNS = [column for column in feedback.c if column.name != "content"]


def put_all(conn: Connection, acts: Sequence[Feedback], contents: Mapping[str, str]) -> None:
    """Keeps acts of which none is known yet.

    Args:
        contents: a hash of each act's content as its user gave it, by id.
    """
    if acts:
        conn.execute(
            insert(feedback), [to_json(act) | {"content": contents[act.id]} for act in acts]
        )


def contents(conn: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The content's hash of each act that is known; empty where it was erased."""
    found: dict[str, str] = {}
    for group in in_groups(ids):
        rows = conn.execute(
            select(feedback.c.id, feedback.c.content).where(feedback.c.id.in_(group))
        )
        found.update((row.id, row.content) for row in rows)
    return found


def get(conn: Connection, id: str) -> Feedback | None:
    """The act of that id, if there is one."""
    row = conn.execute(select(*_COLUMNS).where(feedback.c.id == id)).one_or_none()
    return None if row is None else _feedback(row)


def list_feedback(conn: Connection) -> Iterator[Feedback]:
    """Every act that was not erased, the first one first.

    Streams: use it while the connection is open.
    """
    query = select(*_COLUMNS).where(feedback.c.content != "").execution_options(yield_per=1000)
    for row in conn.execute(query.order_by(feedback.c.at, feedback.c.id)):
        yield _feedback(row)


def erased(conn: Connection) -> list[str]:
    """The ids of acts that were erased."""
    query = select(feedback.c.id).where(feedback.c.content == "").order_by(feedback.c.id)
    return list(conn.scalars(query))


def of_interaction(conn: Connection, interaction: str) -> list[Feedback]:
    """What was said to one interaction, the first act first."""
    return _where(conn, feedback.c.interaction == interaction)


def of_interactions(conn: Connection, interactions: Sequence[str]) -> dict[str, list[Feedback]]:
    """What was said to each of these interactions that anything was said to, the first act first;
    not what was erased."""
    found: dict[str, list[Feedback]] = {}
    for group in in_groups(interactions):
        about = and_(feedback.c.interaction.in_(group), feedback.c.content != "")
        for act in _where(conn, about):
            found.setdefault(act.interaction, []).append(act)
    return found


def count_users(conn: Connection) -> dict[str, int]:
    """How many acts each user has done, the erased ones too."""
    query = select(feedback.c.user, func.count()).group_by(feedback.c.user)
    return dict(iter(conn.execute(query)))


def count_rated(conn: Connection) -> dict[int, dict[str, int]]:
    """For each version and kind, how many of its answers got feedback of that kind."""
    query = (
        select(interactions.c.version, feedback.c.kind, func.count(distinct(interactions.c.id)))
        .join_from(feedback, interactions, feedback.c.interaction == interactions.c.id)
        .group_by(interactions.c.version, feedback.c.kind)
    )
    counts: dict[int, dict[str, int]] = {}
    for version, kind, count in conn.execute(query):
        counts.setdefault(version, {})[kind] = count
    return counts


def _where(conn: Connection, condition: Any) -> list[Feedback]:
    query = select(*_COLUMNS).where(condition).order_by(feedback.c.at, feedback.c.id)
    return [_feedback(row) for row in conn.execute(query)]


def _feedback(row: Row[*tuple[Any, ...]]) -> Feedback:
    return from_json(Feedback, dict(row._mapping))
