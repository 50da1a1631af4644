"""Keys: who may call, and as whom. Made, listed, revoked, and known again by their secret.

A secret has 256 random bits, so that its plain SHA-256 gives nothing away and needs no salt; it is
shown once and kept nowhere. Whoever calls acts as the key's name, whatever a request says.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection

from flywheel.errors import UsageError
from flywheel.records import PUBLIC, Role
from flywheel.store import audit
from flywheel.store import keys as key_store
from flywheel.store.audit import Act
from flywheel.store.keys import Key, Session

if TYPE_CHECKING:
    from flywheel.store.database import Database

PREFIX = "fw-"
"""What a scanner for leaked secrets knows a key by."""

MAX_NAME_CHARS = 100
SESSION_HOURS = 12

_RANKS: dict[Role, int] = {"asker": 0, "curator": 1, "owner": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls, as far as a valid key tells."""

    key: str
    """The key's id."""
    name: str
    """The user that whatever he does counts as."""
    role: Role
    access: tuple[str, ...] | None
    """The labels that he may read; None for everything."""
    csrf: str = ""
    """What a request must bring along where a cookie let it in; empty where a key did."""

    def may(self, role: Role) -> bool:
        """Whether he may what this role may: an owner may all, a curator what an asker may."""
        return _RANKS[self.role] >= _RANKS[role]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A new key, and its secret, which nobody can show again."""

    key: Key
    secret: str


def add(
    database: Database,
    name: str,
    role: Role,
    access: Sequence[str] | None = None,
    days: int | None = None,
    by: Caller | None = None,
) -> Made:
    """Makes a key.

    Args:
        name: the user that whoever holds it acts as. Several keys may act as one user.
        access: the labels that it may read beside what is public; None is everything for an owner,
            and what is public for everybody else.
        days: how long it holds; None for ever.
        by: who makes it; None is the command line's owner.

    Raises:
        UsageError: the name is empty, too long or spells control characters.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise UsageError(f"A key's name is a line of 1 to {MAX_NAME_CHARS} characters.")
    now = datetime.now(UTC)
    secret = PREFIX + secrets.token_urlsafe(32)
    everything = role == "owner" and access is None
    key = Key(
        id=uuid.uuid4().hex[:12],
        name=name,
        role=role,
        access=None if everything else tuple(sorted({PUBLIC, *(access or ())})),
        created_at=_text(now),
        expires_at=None if days is None else _text(now + timedelta(days=days)),
    )

    def write(conn: Connection) -> None:
        key_store.put(conn, key, hash_of(secret))
        record(conn, by, "keys.add", key.id)

    database.write(write)
    return Made(key=key, secret=secret)


def list_keys(database: Database) -> list[Key]:
    """All keys, the oldest first; those that are revoked or have expired, too."""
    with database.read() as conn:
        return key_store.list_keys(conn)


def revoke(database: Database, id: str, by: Caller | None = None) -> Key:
    """Lets nobody in by this key from now on.

    Raises:
        UsageError: there is no such key, or it is revoked already.
    """

    def write(conn: Connection) -> Key:
        revoked = key_store.revoke(conn, id, _text(datetime.now(UTC)))
        key = key_store.get(conn, id)
        if key is None:
            raise UsageError(f'There is no key "{id}". `flywheel keys list` shows them.')
        if not revoked:
            raise UsageError(f"The key {id} was revoked at {key.revoked_at}.")
        record(conn, by, "keys.revoke", id)
        return key

    return database.write(write)


def caller_of(database: Database, secret: str) -> Caller | None:
    """Who calls with this secret; None where it lets nobody in."""
    with database.read() as conn:
        key = key_store.of_hash(conn, hash_of(secret))
    return _caller(key) if key and key.is_valid(_text(datetime.now(UTC))) else None


def sign_in(database: Database, key: Key) -> str:
    """Starts a session of a browser that acts by this key; gives its cookie."""
    cookie = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    session = Session(
        key=key,
        csrf=secrets.token_urlsafe(32),
        expires_at=_text(now + timedelta(hours=SESSION_HOURS)),
    )

    def write(conn: Connection) -> None:
        key_store.end_expired(conn, _text(now))
        key_store.put_session(conn, session, hash_of(cookie))

    database.write(write)
    return cookie


def caller_of_session(database: Database, cookie: str) -> Caller | None:
    """Who signed in with this cookie; None where the session or its key holds no more."""
    with database.read() as conn:
        session = key_store.of_session(conn, hash_of(cookie))
    now = _text(datetime.now(UTC))
    if session is None or session.expires_at <= now or not session.key.is_valid(now):
        return None
    return _caller(session.key, session.csrf)


def sign_out(database: Database, cookie: str) -> None:
    """Ends a session. One that is over is fine."""
    database.write(lambda conn: key_store.end_session(conn, hash_of(cookie)))


def record(conn: Connection, by: Caller | None, action: str, target: str) -> None:
    """Writes down what an owner or a curator did, in the transaction that does it."""
    name: str = by.name if by else "owner"
    role: Literal["asker", "curator", "owner"] = by.role if by else "owner"
    act = Act(at=_text(datetime.now(UTC)), user=name, role=role, action=action, target=target)
    audit.put(conn, act)


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _caller(key: Key, csrf: str = "") -> Caller:
    return Caller(key=key.id, name=key.name, role=key.role, access=key.access, csrf=csrf)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
