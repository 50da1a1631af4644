"""Interactions: values ↔ rows, on the connection that the caller holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from flywheel.records import Interaction, from_json, to_json
from flywheel.store.tables import interactions


def put(conn: Connection, interaction: Interaction) -> None:
    """Keeps an interaction, with all its candidates."""
    conn.execute(insert(interactions), to_json(interaction))


def get(conn: Connection, id: str) -> Interaction | None:
    """The interaction of that id, if there is one."""
    row = conn.execute(select(interactions).where(interactions.c.id == id)).one_or_none()
    return None if row is None else _interaction(row)


def recent(conn: Connection, limit: int = 50) -> list[Interaction]:
    """The latest interactions, the newest first."""
    order = (interactions.c.at.desc(), interactions.c.id.desc())
    rows = conn.execute(select(interactions).order_by(*order).limit(limit))
    return [_interaction(row) for row in rows]


def _interaction(row: Row[*tuple[Any, ...]]) -> Interaction:
    return from_json(Interaction, dict(row._mapping))
