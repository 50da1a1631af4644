"""Versions and the champion: values ↔ rows, on the connection that the caller holds.

A version never changes once it is put, but for the mark of an erasure. Which one serves is a single
row of the state; how it came to serve is a history that only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select

from flywheel.errors import UsageError
from flywheel.records import Score, from_json, to_json
from flywheel.store import state
from flywheel.store.corrections import lock
from flywheel.store.groups import in_groups
from flywheel.store.tables import (
    feedback,
    index_documents,
    promotions,
    version_feedback,
    versions,
)

Decision = Literal["promoted", "kept"]
"""`promoted`: the challenger became the champion; `kept`: the champion stayed."""

By = Literal["gate", "owner", "rollback", "erasure"]
"""What let a version serve."""

CHAMPION = "champion"
"""The state that says which version serves."""
_MAX_NUMBER = 2**31 - 1
"""What PostgreSQL compares with a number of its own."""
_BEST = "best_version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """An immutable bundle of all that answers, with its scores and its parent."""

    number: int
    created_at: str
    """UTC, ISO 8601."""
    parent: int | None
    """The champion at the time, which it was compared with; None for the first."""
    bundle: dict[str, Any]
    """JSON-ready: the artifacts' keys, thresholds, settings."""
    bundle_hash: str
    metrics: dict[str, Score] = field(default_factory=dict)
    decision: Decision
    reasons: tuple[str, ...] = ()
    erased: str | None = None
    """The erasure that took away what it held or learned from: it serves never again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """One step of the history: a version that came to serve, and how."""

    version: int | None
    """None where an erasure left nothing that could serve."""
    by: By
    user: str
    """Who did it, where a person did."""
    reason: str
    at: str
    """UTC, ISO 8601."""


def put(conn: Connection, version: Version) -> None:
    """Keeps a new version. It serves only after `set_champion`."""
    conn.execute(insert(versions), to_json(version))


def get(conn: Connection, number: int) -> Version | None:
    """The version of that number, if there is one."""
    if not 0 < number <= _MAX_NUMBER:
        return None
    row = conn.execute(select(versions).where(versions.c.number == number)).one_or_none()
    return None if row is None else _version(row)


def list_versions(conn: Connection) -> list[Version]:
    """All versions, the first one first."""
    return [_version(row) for row in conn.execute(select(versions).order_by(versions.c.number))]


def next_number(conn: Connection) -> int:
    """The number of the version to come, from 1."""
    highest = conn.scalar(select(func.max(versions.c.number)))
    return (highest or 0) + 1


def champion(conn: Connection) -> Version | None:
    """The version that serves; None before the first turn."""
    number = state.get(conn, CHAMPION)
    return None if number is None else get(conn, number)


def set_champion(
    conn: Connection, number: int | None, by: By = "gate", user: str = "", reason: str = ""
) -> None:
    """Lets a version serve, in place of the one before; None lets nothing serve.

    Raises:
        UsageError: there is no such version.
    """
    lock(conn)  # two processes must not give one number twice
    if number is not None:
        require(conn, number)
    last = conn.scalar(select(func.max(promotions.c.number))) or 0
    promotion = Promotion(
        version=number,
        by=by,
        user=user,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    conn.execute(insert(promotions), to_json(promotion) | {"number": last + 1})
    state.put(conn, CHAMPION, number)


def require(conn: Connection, number: int) -> Version:
    """The version of that number.

    Raises:
        UsageError: there is none.
    """
    version = get(conn, number)
    if version is None:
        raise UsageError(f"There is no version {number}; `flywheel versions` lists them.")
    return version


def history(conn: Connection) -> list[Promotion]:
    """Every promotion, the first one first."""
    columns = [each for each in promotions.c if each.name != "number"]
    rows = conn.execute(select(*columns).order_by(promotions.c.number))
    return [from_json(Promotion, dict(row._mapping)) for row in rows]


def put_lineage(
    conn: Connection, version: Version, feedback: Iterable[str], documents: Iterable[str]
) -> None:
    """Keeps what a version learned from and what its index holds, beside the version itself."""
    learned = [{"version": version.number, "feedback": id} for id in sorted(set(feedback))]
    if learned:
        conn.execute(insert(version_feedback), learned)
    put_held(conn, version.bundle["index"], documents)


def put_held(conn: Connection, artifact: str, ids: Iterable[str]) -> None:
    """Keeps what an artifact was made of: an index or a model, by its key. Once: it never changes.

    Args:
        ids: of documents and, for a model, of acts of feedback.
    """
    if not held_by(conn, artifact):  # else another version has the same one
        held = [{"index": artifact, "document": id} for id in sorted(set(ids))]
        conn.execute(insert(index_documents), held)


def learned_from(conn: Connection, number: int) -> set[str]:
    """The ids of the feedback that a version learned from."""
    query = select(version_feedback.c.feedback).where(version_feedback.c.version == number)
    return set(conn.scalars(query))


def count_learned(conn: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """From how many acts of feedback each of these versions learned that learned from any."""
    of = version_feedback.c
    counts: dict[int, int] = {}
    for group in in_groups(numbers):
        query = select(of.version, func.count()).where(of.version.in_(group)).group_by(of.version)
        counts.update(dict(iter(conn.execute(query))))
    return counts


def count_kinds(conn: Connection, number: int) -> dict[str, int]:
    """How many acts of each kind a version learned from."""
    query = (
        select(feedback.c.kind, func.count())
        .join_from(version_feedback, feedback, version_feedback.c.feedback == feedback.c.id)
        .where(version_feedback.c.version == number)
        .group_by(feedback.c.kind)
    )
    return dict(iter(conn.execute(query)))


def num_held(conn: Connection, artifact: str) -> int:
    """Of how many things an artifact was made, by its key."""
    query = select(func.count()).where(index_documents.c.index == artifact)
    return conn.scalar(query) or 0


def that_learned(conn: Connection, feedback: str) -> list[int]:
    """The numbers of the versions that learned from one act of feedback, or whose model did."""
    query = select(version_feedback.c.version).where(version_feedback.c.feedback == feedback)
    found = set(conn.scalars(query))
    holding = select(index_documents.c.index).where(index_documents.c.document == feedback)
    models = set(conn.scalars(holding))
    if models:
        for each in list_versions(conn):
            writers = each.bundle.get("writers", {}).values()
            if any(writer["model"] in models for writer in writers):
                found.add(each.number)
    return sorted(found)


def held_by(conn: Connection, artifact: str) -> set[str]:
    """The ids of what an artifact was made of, by its key."""
    query = select(index_documents.c.document).where(index_documents.c.index == artifact)
    return set(conn.scalars(query))


def best(conn: Connection) -> Version | None:
    """The best version ever promoted on a gain, as what its documents became; the champion where
    none was marked yet, or the marked one was erased."""
    number = state.get(conn, _BEST)
    marked = None if number is None else get(conn, number)
    return marked if marked and not marked.erased else champion(conn)


def set_best(conn: Connection, number: int) -> None:
    """Marks the version that later ones must be as good as."""
    state.put(conn, _BEST, number)


def _version(row: Row[*tuple[Any, ...]]) -> Version:
    return from_json(Version, dict(row._mapping))
