"""Questions drawn for the exam: values ↔ rows, on the connection that the caller holds.

They are users' words, so that whoever erases an interaction or a user erases them here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from flywheel.records import from_json, to_json
from flywheel.store.groups import in_groups
from flywheel.store.tables import exam_items

State = Literal["waiting", "gold", "dropped"]
"""`waiting` for a curator; `gold`: answered, in the exam; `dropped`: not fit to be asked. None of
them is learned from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamItem:
    """A drawn question, and what a curator says to it."""

    id: str
    question: str
    interaction: str
    user: str
    """Who asked."""
    at: str
    """When it was asked. UTC, ISO 8601."""
    state: State = "waiting"
    answer: str = ""
    evidence: tuple[str, ...] = ()
    answerable: bool = True
    decided_by: str = ""


_BLANK = {"state": "waiting", "answer": "", "evidence": [], "answerable": True, "decided_by": ""}


def put_all(conn: Connection, items: Sequence[ExamItem]) -> None:
    """Keeps new items."""
    if items:
        conn.execute(insert(exam_items), [to_json(each) for each in items])


def decide_all(conn: Connection, items: Sequence[ExamItem]) -> None:
    """Writes what a curator says to items that are there."""
    for each in items:
        said = {name: value for name, value in to_json(each).items() if name in _BLANK}
        conn.execute(update(exam_items).where(exam_items.c.id == each.id).values(said))


def get(conn: Connection, id: str) -> ExamItem | None:
    """The item of that id, if there is one."""
    row = conn.execute(select(exam_items).where(exam_items.c.id == id)).one_or_none()
    return None if row is None else _item(row)


def list_items(conn: Connection) -> list[ExamItem]:
    """Every item, the one asked first first."""
    query = select(exam_items).order_by(exam_items.c.at, exam_items.c.id)
    return [_item(row) for row in conn.execute(query)]


def erase_interactions(conn: Connection, interactions: Sequence[str]) -> int:
    """Deletes what was drawn from these interactions. Returns how many items."""
    return sum(
        conn.execute(delete(exam_items).where(exam_items.c.interaction.in_(group))).rowcount
        for group in in_groups(interactions)
    )


def blank(conn: Connection, id: str) -> None:
    """Takes back what a curator said to an item, which waits for another one."""
    conn.execute(update(exam_items).where(exam_items.c.id == id).values(_BLANK))


def erase_user(conn: Connection, user: str) -> int:
    """Deletes what the user asked; what he said to others' questions as a curator goes, and they
    wait for another one. Returns how many items."""
    asked = conn.execute(delete(exam_items).where(exam_items.c.user == user)).rowcount
    said = update(exam_items).where(exam_items.c.decided_by == user).values(_BLANK)
    return asked + conn.execute(said).rowcount


def _item(row: Row[*tuple[Any, ...]]) -> ExamItem:
    return from_json(ExamItem, dict(row._mapping))
