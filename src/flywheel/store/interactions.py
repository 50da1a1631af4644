"""Interactions: values ↔ rows, on the connection that the caller holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from flywheel.records import Interaction, from_json, to_json
from flywheel.store.groups import in_groups
from flywheel.store.tables import interactions


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What was asked in an interaction, without what was answered."""

    id: str
    question: str
    user: str
    at: str


def put(conn: Connection, interaction: Interaction) -> None:
    """Keeps an interaction, with all its candidates."""
    conn.execute(insert(interactions), to_json(interaction))


def get(conn: Connection, id: str) -> Interaction | None:
    """The interaction of that id, if there is one."""
    row = conn.execute(select(interactions).where(interactions.c.id == id)).one_or_none()
    return None if row is None else from_json(Interaction, dict(row._mapping))


def get_all(conn: Connection, ids: Sequence[str]) -> dict[str, Interaction]:
    """Those of the ids that there are."""
    return {each.id: each for each in _among(conn, interactions.c.id, ids)}


def of_questions(conn: Connection, questions: Sequence[str]) -> list[Interaction]:
    """What was answered whenever one of these questions was asked, in the same words."""
    found = _among(conn, interactions.c.question, questions)
    return sorted(found, key=lambda each: (each.at, each.id))


def _among(conn: Connection, column: Any, values: Sequence[str]) -> list[Interaction]:
    found: list[Interaction] = []
    for group in in_groups(values):
        rows = conn.execute(select(interactions).where(column.in_(group)))
        found.extend(from_json(Interaction, dict(row._mapping)) for row in rows)
    return found


def list_questions(conn: Connection) -> list[Question]:
    """What was asked, the first first; not what was erased."""
    columns = [interactions.c[name] for name in ("id", "question", "user", "at")]
    query = select(*columns).where(interactions.c.question != "")
    rows = conn.execute(query.order_by(interactions.c.at, interactions.c.id))
    return [Question(**row._mapping) for row in rows]


def recent_questions(conn: Connection, limit: int) -> list[str]:
    """What was asked last, the latest first; not what was erased."""
    query = select(interactions.c.question).where(interactions.c.question != "")
    order = interactions.c.at.desc(), interactions.c.id.desc()
    return list(conn.scalars(query.order_by(*order).limit(limit)))


def count_versions(conn: Connection) -> dict[int, int]:
    """How many questions each version was asked."""
    query = select(interactions.c.version, func.count()).group_by(interactions.c.version)
    return dict(iter(conn.execute(query)))
