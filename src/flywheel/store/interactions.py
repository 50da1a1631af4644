"""Interactions: values ↔ rows, on the connection that the caller holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select, tuple_, update

from flywheel.records import Interaction, Kind, from_json, to_json
from flywheel.store.groups import in_groups
from flywheel.store.tables import interactions

_COLUMNS = [interactions.c[each.name] for each in fields(Interaction)]
_WORDLESS = "?"
"""The key of questions that have no normal form, so that each has one."""
_KINDS = ("", *get_args(Kind))
"""Of first candidates; empty where nothing was shown, or what was shown is erased."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What was asked in an interaction, without what was answered."""

    id: str
    question: str
    user: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """An interaction as a list shows it: without what was answered."""

    id: str
    question: str
    at: str
    version: int
    kind: Kind | Literal[""]
    """Of the first candidate; empty where nothing was shown, or what was shown is erased."""
    confidence: float | None


def put(conn: Connection, interaction: Interaction, key: str = "") -> None:
    """Keeps an interaction, with all its candidates.

    Args:
        key: the question's normal form; without it, it is counted with no other until `fill_keys`.
    """
    put_all(conn, [(interaction, key)])


def put_all(conn: Connection, keyed: Iterable[tuple[Interaction, str]]) -> None:
    """Keeps interactions, each with its key."""
    rows = [to_json(each) | {"key": key, **_first(each)} for each, key in keyed]
    if rows:
        conn.execute(insert(interactions), rows)


def fill_keys(conn: Connection, key_of: Callable[[str], str], limit: int = 200) -> int:
    """Gives keys to rows of a release that had none. Returns to how many; 0 once all have theirs.

    Args:
        key_of: a question's normal form.
        limit: the most of one call, so that other writes need not wait for all of them.
    """
    columns = interactions.c
    # All kinds are named, so that it is found without reading every row.
    missing = and_(columns.kind.in_(_KINDS), columns.key == "", columns.question != "")
    rows = conn.execute(select(columns.id, columns.question).where(missing).limit(limit)).all()
    filled = update(interactions).where(columns.id == bindparam("of"))
    keys = [{"of": row.id, "its_key": key_of(row.question) or _WORDLESS} for row in rows]
    if keys:
        conn.execute(filled.values(key=bindparam("its_key")), keys)
    return len(keys)


def get(conn: Connection, id: str) -> Interaction | None:
    """The interaction of that id, if there is one."""
    row = conn.execute(select(*_COLUMNS).where(interactions.c.id == id)).one_or_none()
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
        rows = conn.execute(select(*_COLUMNS).where(column.in_(group)))
        found.extend(from_json(Interaction, dict(row._mapping)) for row in rows)
    return found


def list_questions(conn: Connection) -> list[Question]:
    """What was asked, the first first; not what was erased."""
    columns = [interactions.c[name] for name in ("id", "question", "user", "at")]
    query = select(*columns).where(interactions.c.question != "")
    rows = conn.execute(query.order_by(interactions.c.at, interactions.c.id))
    return [Question(**row._mapping) for row in rows]


def list_page(
    conn: Connection,
    user: str,
    *,
    before: tuple[str, str] | None = None,
    search: str = "",
    limit: int = 50,
    among: Select[tuple[str]] | None = None,
) -> list[Line]:
    """What a user asked, the latest first; not what was erased.

    Args:
        before: goes on behind the `at` and `id` of a line.
        search: words that all stand in the question, each as a part of it; their case counts not.
        among: the ids of those to list; None is all.
    """
    columns = interactions.c
    query = select(*(columns[each.name] for each in fields(Line)))
    query = query.where(columns.user == user, columns.question != "")
    if among is not None:
        query = query.where(columns.id.in_(among))
    if before:
        query = query.where(tuple_(columns.at, columns.id) < before)
    for word in search.split():
        query = query.where(columns.question.icontains(word, autoescape=True))
    rows = conn.execute(query.order_by(columns.at.desc(), columns.id.desc()).limit(limit))
    return [Line(**row._mapping) for row in rows]


def recent_questions(conn: Connection, limit: int) -> list[str]:
    """What was asked last, the latest first; not what was erased."""
    query = select(interactions.c.question).where(interactions.c.question != "")
    order = interactions.c.at.desc(), interactions.c.id.desc()
    return list(conn.scalars(query.order_by(*order).limit(limit)))


def count_versions(conn: Connection) -> dict[int, int]:
    """How many questions each version was asked."""
    query = select(interactions.c.version, func.count()).group_by(interactions.c.version)
    return dict(iter(conn.execute(query)))


def _first(interaction: Interaction) -> dict[str, Any]:
    """What the lists say of what was shown."""
    if not interaction.candidates:
        return {"kind": "", "confidence": None}
    first = interaction.candidates[0]
    return {"kind": first.kind, "confidence": first.confidence}
