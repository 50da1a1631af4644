"""What is remembered of erasures: ids and hashes, on the connection that the caller holds.

Enough to go on after a kill, to keep out what comes again, and for whoever restores an older copy;
nothing that says what was erased.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Table, and_, func, insert, select, update

from flywheel.store.redaction import Items
from flywheel.store.tables import erased, erasures, index_documents, version_feedback, versions

TargetKind = Literal["user", "source", "interaction"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """What is remembered of an erasure: nothing that says what was erased."""

    id: str
    kind: TargetKind
    of: str
    at: str
    """UTC, ISO 8601."""
    done_at: str | None = None


def hash_of(kind: TargetKind, name: str) -> str:
    """What an erasure is known by. Whoever knows the name finds it again, nobody else."""
    return hashlib.sha256(f"{kind}\0{name}".encode(errors="surrogatepass")).hexdigest()


def of_target(conn: Connection, kind: TargetKind, name: str) -> list[Erasure]:
    """The erasures of this target, the first one first."""
    query = select(erasures).where(erasures.c.of == hash_of(kind, name)).order_by(erasures.c.at)
    return [Erasure(**row._mapping) for row in conn.execute(query)]


def list_erasures(conn: Connection) -> list[Erasure]:
    """All of them, the first one first."""
    rows = conn.execute(select(erasures).order_by(erasures.c.at, erasures.c.id))
    return [Erasure(**row._mapping) for row in rows]


def count(conn: Connection) -> int:
    """How many there have been."""
    return conn.scalar(select(func.count()).select_from(erasures)) or 0


def of_item(conn: Connection, id: str) -> Erasure | None:
    """The latest erasure that took the row of this id."""
    query = select(erasures).join(erased).where(erased.c.id == id)
    row = conn.execute(query.order_by(erasures.c.at.desc())).first()
    return None if row is None else Erasure(**row._mapping)


def remember(conn: Connection, erasure: Erasure, items: Items) -> None:
    """Keeps an erasure with the ids that it takes; one that goes on takes more of them."""
    known = select(erasures.c.id).where(erasures.c.id == erasure.id)
    if conn.scalar(known) is None:
        conn.execute(insert(erasures), {each: getattr(erasure, each) for each in _COLUMNS})
    taken = {
        "interaction": items.interactions,
        "feedback": items.feedback,
        "document": items.documents - items.files,
        "file": items.files,
    }
    rows = [
        {"erasure": erasure.id, "kind": kind, "id": id}
        for kind, ids in taken.items()
        for id in sorted(ids - taken_by(conn, erasure.id, kind))
    ]
    if rows:
        conn.execute(insert(erased), rows)


def taken_by(conn: Connection, erasure: str, *kinds: str) -> set[str]:
    """The ids of these kinds that an erasure took; of all kinds where none is named."""
    query = select(erased.c.id).where(erased.c.erasure == erasure)
    return set(conn.scalars(query.where(erased.c.kind.in_(kinds)) if kinds else query))


def unfinished(conn: Connection, *kinds: str) -> set[str]:
    """The ids of these kinds that erasures took which are not done."""
    query = select(erased.c.id).join(erasures).where(erasures.c.done_at.is_(None))
    return set(conn.scalars(query.where(erased.c.kind.in_(kinds))))


def unfinished_ids(conn: Connection) -> set[str]:
    """The ids of the erasures that are not done."""
    return set(conn.scalars(select(erasures.c.id).where(erasures.c.done_at.is_(None))))


def kept_out(conn: Connection) -> set[str]:
    """The ids of files that were erased out of a source that stays."""
    return set(conn.scalars(select(erased.c.id).where(erased.c.kind == "file").distinct()))


def finish(conn: Connection, erasure: str) -> None:
    """Marks an erasure as done and proven."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    open_one = and_(erasures.c.id == erasure, erasures.c.done_at.is_(None))
    conn.execute(update(erasures).where(open_one).values(done_at=now))


def mark_versions(conn: Connection, erasure: str) -> None:
    """Marks the versions that learned from what an erasure took, or whose index or model holds it.

    What a version of an older release holds is not known: it counts as holding it.
    """
    learned = _reached(conn, version_feedback, version_feedback.c.feedback, erasure, "feedback")
    holding = holding_of(conn, erasure)
    taught = set(conn.scalars(select(version_feedback.c.version).distinct()))
    known = set(conn.scalars(select(index_documents.c.index).distinct()))
    acts = taken_by(conn, erasure, "feedback")
    held = taken_by(conn, erasure, "document", "file")
    for row in conn.execute(select(versions).where(versions.c.erased.is_(None))).all():
        index = row.bundle["index"]
        unknown = (acts and row.bundle.get("ranker") and row.number not in taught) or (
            held and index not in known
        )
        models = {each["model"] for each in row.bundle.get("writers", {}).values()}
        if unknown or row.number in learned or holding & {index, *models}:
            chosen = update(versions).where(versions.c.number == row.number)
            conn.execute(chosen.values(erased=erasure))


def holding_of(conn: Connection, erasure: str) -> set[str]:
    """The keys of the indexes and models that were made of what an erasure took."""
    held = index_documents.c.document
    return _reached(conn, index_documents, held, erasure, "document", "file", "feedback")


def _reached(conn: Connection, table: Table, id: Any, erasure: str, *kinds: str) -> set[Any]:
    """The first column of those rows of a table whose id an erasure took."""
    took = and_(erased.c.erasure == erasure, erased.c.kind.in_(kinds), erased.c.id == id)
    return set(conn.scalars(select(next(iter(table.c))).join_from(table, erased, took).distinct()))


_COLUMNS = [each.name for each in fields(Erasure)]
