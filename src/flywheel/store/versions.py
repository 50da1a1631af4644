"""Versions and the champion: values ↔ rows, on the connection that the caller holds.

A version never changes once it is put; which one serves is a single row of the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select

from flywheel.errors import UsageError
from flywheel.records import Score, from_json, to_json
from flywheel.store import state
from flywheel.store.tables import versions

Decision = Literal["promoted", "kept"]
"""`promoted`: the challenger became the champion; `kept`: the champion stayed."""

_CHAMPION = "champion"
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


def put(conn: Connection, version: Version) -> None:
    """Keeps a new version. It serves only after `set_champion`."""
    conn.execute(insert(versions), to_json(version))


def get(conn: Connection, number: int) -> Version | None:
    """The version of that number, if there is one."""
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
    number = state.get(conn, _CHAMPION)
    return None if number is None else get(conn, number)


def set_champion(conn: Connection, number: int) -> None:
    """Lets a version serve, in place of the one before.

    Raises:
        UsageError: there is no such version.
    """
    if get(conn, number) is None:
        raise UsageError(f"There is no version {number}; `flywheel versions` lists them.")
    state.put(conn, _CHAMPION, number)


def best(conn: Connection) -> Version | None:
    """The best version ever promoted on a gain, as what its documents became; the champion where
    none was marked yet."""
    number = state.get(conn, _BEST)
    return (None if number is None else get(conn, number)) or champion(conn)


def set_best(conn: Connection, number: int) -> None:
    """Marks the version that later ones must be as good as."""
    state.put(conn, _BEST, number)


def _version(row: Row[*tuple[Any, ...]]) -> Version:
    return from_json(Version, dict(row._mapping))
