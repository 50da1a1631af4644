"""Interactions: values ↔ rows, on the connection that the caller holds."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from flywheel.records import Interaction, from_json, to_json
from flywheel.store.tables import interactions


def put(conn: Connection, interaction: Interaction) -> None:
    """Keeps an interaction, with all its candidates."""
    conn.execute(insert(interactions), to_json(interaction))


def get(conn: Connection, id: str) -> Interaction | None:
    """The interaction of that id, if there is one."""
    row = conn.execute(select(interactions).where(interactions.c.id == id)).one_or_none()
    return None if row is None else from_json(Interaction, dict(row._mapping))
