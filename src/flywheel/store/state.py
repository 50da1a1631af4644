"""Small facts about the workspace, by name, on the connection that the caller holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from flywheel.store.tables import state


def get(conn: Connection, key: str) -> Any:
    """The value of that name; None where there is none."""
    return conn.scalar(select(state.c.value).where(state.c.key == key))


def put(conn: Connection, key: str, value: Any) -> None:
    """Keeps a JSON-ready value, in place of the one of that name."""
    changed = conn.execute(update(state).where(state.c.key == key).values(value=value))
    if changed.rowcount == 0:
        conn.execute(insert(state).values(key=key, value=value))


def remove(conn: Connection, key: str) -> None:
    """Forgets the value of that name. One that is not there is fine."""
    conn.execute(delete(state).where(state.c.key == key))
