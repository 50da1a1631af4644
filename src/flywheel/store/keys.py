"""Keys, and sessions that stand for them: values ↔ rows, on the connection that the caller holds.

A secret never comes here, only its hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from flywheel.records import Role
from flywheel.store.groups import in_groups
from flywheel.store.tables import keys, sessions

KeyState = Literal["valid", "expired", "revoked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What lets a program or a person in."""

    id: str
    name: str
    """The user that whoever holds it acts as."""
    role: Role
    access: tuple[str, ...] | None
    """The labels that it may read; None for everything."""
    created_at: str
    expires_at: str | None = None
    """UTC, ISO 8601; None for never."""
    revoked_at: str | None = None

    def state(self, at: str) -> KeyState:
        """What it is worth at that time: only a valid one lets anybody in."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at is None or at < self.expires_at else "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A browser that signed in; it may what its key may, while that holds."""

    key: Key
    csrf: str
    """What a form must bring along, since a browser sends the cookie unasked."""
    expires_at: str


class Stamp(NamedTuple):
    """What tells whether another one lets in than before; keys are revoked, and never deleted."""

    num_keys: int
    num_revoked: int
    num_expired: int


_STAMP = select(
    func.count(),
    func.count(keys.c.revoked_at),
    func.count(case((keys.c.expires_at <= bindparam("at", type_=Text), 1))),
)


def put(conn: Connection, key: Key, hash: str) -> None:
    """Keeps a new key."""
    access = None if key.access is None else list(key.access)
    row = {name: getattr(key, name) for name in _COLUMNS} | {"access": access, "hash": hash}
    conn.execute(insert(keys), row)


def get(conn: Connection, id: str) -> Key | None:
    """The key of that id, if there is one."""
    row = conn.execute(select(keys).where(keys.c.id == id)).one_or_none()
    return None if row is None else _key(row)


def of_hash(conn: Connection, hash: str) -> Key | None:
    """The key whose secret has that hash, if there is one; also where it is no longer valid."""
    row = conn.execute(select(keys).where(keys.c.hash == hash)).one_or_none()
    return None if row is None else _key(row)


def stamp(conn: Connection, at: str) -> Stamp:
    """Another one than before, where a key was made, revoked or has expired since. At that time."""
    return Stamp(*conn.execute(_STAMP, {"at": at}).one())


def list_keys(conn: Connection) -> list[Key]:
    """All of them, the oldest first; those that are revoked or have expired, too."""
    rows = conn.execute(select(keys).order_by(keys.c.created_at, keys.c.id))
    return [_key(row) for row in rows]


def page(
    conn: Connection, limit: int, at: str, *, valid: bool, before: tuple[str, str] | None = None
) -> list[Key]:
    """Keys that let somebody in at that time, or those that do not; the newest first.

    Args:
        before: when the last one of the page before was made, and its id.
    """
    query = select(keys).where(_valid(at) if valid else ~_valid(at))
    if before is not None:
        query = query.where(tuple_(keys.c.created_at, keys.c.id) < before)
    order = keys.c.created_at.desc(), keys.c.id.desc()
    return [_key(row) for row in conn.execute(query.order_by(*order).limit(limit))]


def names(conn: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Whose each of these keys is, by its id; empty where the user was erased."""
    found: dict[str, str] = {}
    for group in in_groups(ids):
        for row in conn.execute(select(keys.c.id, keys.c.name).where(keys.c.id.in_(group))):
            found[row.id] = row.name
    return found


def count_valid(conn: Connection, at: str, role: Role) -> int:
    """How many keys of a role let somebody in at that time."""
    query = select(func.count()).select_from(keys).where(keys.c.role == role, _valid(at))
    return conn.scalar(query) or 0


def revoke(conn: Connection, id: str, at: str) -> bool:
    """Lets nobody in by that key any more, nor by its sessions. Whether there was one to revoke."""
    valid = (keys.c.id == id) & keys.c.revoked_at.is_(None)
    revoked = conn.execute(update(keys).where(valid).values(revoked_at=at)).rowcount == 1
    conn.execute(delete(sessions).where(sessions.c.key == id))
    return revoked


def put_session(conn: Connection, session: Session, hash: str) -> None:
    """Keeps a new session."""
    conn.execute(
        insert(sessions).values(
            hash=hash, key=session.key.id, csrf=session.csrf, expires_at=session.expires_at
        )
    )


def of_session(conn: Connection, hash: str) -> Session | None:
    """The session whose cookie has that hash; also where it is no longer valid."""
    row = conn.execute(select(sessions).where(sessions.c.hash == hash)).one_or_none()
    key = get(conn, row.key) if row else None
    return (
        None if not row or not key else Session(key=key, csrf=row.csrf, expires_at=row.expires_at)
    )


def end_session(conn: Connection, hash: str) -> None:
    """Forgets a session. One that is not there is fine."""
    conn.execute(delete(sessions).where(sessions.c.hash == hash))


def end_expired(conn: Connection, at: str) -> None:
    """Forgets the sessions that have expired by then."""
    conn.execute(delete(sessions).where(sessions.c.expires_at <= at))


def _valid(at: str) -> ColumnElement[bool]:
    is_open = keys.c.expires_at.is_(None) | (keys.c.expires_at > at)
    return keys.c.revoked_at.is_(None) & is_open


_COLUMNS = ("id", "name", "role", "access", "created_at", "expires_at", "revoked_at")


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    values = {name: row._mapping[name] for name in _COLUMNS}
    access = values["access"]
    return Key(**(values | {"access": None if access is None else tuple(access)}))
