"""Keys: who may call, and as whom. Made, listed, revoked, and known again by their secret.

A secret has 256 random bits, so that its plain SHA-256 gives nothing away and needs no salt; it is
shown once and kept nowhere. Whoever calls acts as the key's name, whatever a request says.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flywheel.errors import UsageError
from flywheel.records import PUBLIC, Role
from flywheel.store import audit, corrections, documents
from flywheel.store import keys as key_store
from flywheel.store.audit import Act
from flywheel.store.keys import Key, KeyState, Session, Stamp

if TYPE_CHECKING:
    from flywheel.store.database import Database

PREFIX = "fw-"
"""What a scanner for leaked secrets knows a key by."""

MAX_NAME_CHARS = 100
MAX_LABELS = 100
MAX_DAYS = 36_500
SESSION_HOURS = 12

COMMAND_LINE = "owner"
"""The user that whoever types commands acts as."""

_ID_CHARS = 12
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
        UsageError: the name or a label is empty, too long or spells control characters; the days
            are none; or it would read more than who makes it.
    """
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise UsageError(f"A key holds for 1 to {MAX_DAYS} days; without a number, for ever.")
    now = datetime.now(UTC)
    secret = PREFIX + secrets.token_urlsafe(32)
    key = Key(
        id=uuid.uuid4().hex[:_ID_CHARS],
        name=_line("name", name),
        role=role,
        access=_access(role, access),
        created_at=_text(now),
        expires_at=None if days is None else _text(now + timedelta(days=days)),
    )
    _check_grant(key, by)

    def write(conn: Connection) -> None:
        key_store.put(conn, key, hash_of(secret))
        record(conn, by, "keys.add", key.id)

    database.write(write)
    return Made(key=key, secret=secret)


def carried_by_none(database: Database, labels: Iterable[str]) -> list[str]:
    """Those of the labels that no document carries yet: a slip of the pen, mostly."""
    with database.read() as conn:
        return sorted(set(labels) - documents.labels(conn) - {PUBLIC})


def list_keys(database: Database) -> list[Key]:
    """All keys, the oldest first; those that are revoked or have expired, too."""
    with database.read() as conn:
        return key_store.list_keys(conn)


def state_of(key: Key) -> KeyState:
    """What a key is worth now."""
    return key.state(_text(datetime.now(UTC)))


def first_owner(database: Database) -> Key | None:
    """The oldest key that is an owner's and valid: what a one-time link signs in by."""
    owners = (each for each in list_keys(database) if each.role == "owner")
    return next((each for each in owners if state_of(each) == "valid"), None)


def page(
    database: Database, limit: int, *, valid: bool = True, before: tuple[str, str] | None = None
) -> list[Key]:
    """Keys that let somebody in, or those that do not any more; the newest first.

    Args:
        before: when the last key of the page before was made, and its id.
    """
    with database.read() as conn:
        now = _text(datetime.now(UTC))
        return key_store.page(conn, limit, now, valid=valid, before=before)


def get(database: Database, id: str) -> Key | None:
    """The key of that id, if there is one."""
    with database.read() as conn:
        return key_store.get(conn, id)


def names(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """Whose each of these keys is, by its id."""
    with database.read() as conn:
        return key_store.names(conn, ids)


def labels(database: Database, by: Caller) -> list[str]:
    """The labels that documents carry and somebody may give to a key, in order."""
    with database.read() as conn:
        known = documents.labels(conn) - {PUBLIC}
    return sorted(known if by.access is None else known & {*by.access})


class LastOwner(UsageError):
    """Without this key no owner could sign in."""


def is_last_owner(database: Database, key: Key) -> bool:
    """Whether a key is the only one that lets an owner in."""
    if key.role != "owner" or state_of(key) != "valid":
        return False
    with database.read() as conn:
        return key_store.count_valid(conn, _text(datetime.now(UTC)), "owner") == 1


def revoke(
    database: Database, id: str, by: Caller | None = None, *, spare_last_owner: bool = False
) -> Key:
    """Lets nobody in by this key from now on.

    Args:
        spare_last_owner: keeps the last key that lets an owner in, for who cannot make another.

    Raises:
        UsageError: there is no such key, or it is revoked already.
        LastOwner: it is the one that is spared.
    """
    if len(id) != _ID_CHARS or not (id.isascii() and id.isalnum()):
        raise UsageError("There is no such key. `flywheel keys list` shows them with their ids.")

    def write(conn: Connection) -> Key:
        corrections.lock(conn)  # before the key's row, which whoever holds the lock may want
        now = _text(datetime.now(UTC))
        if spare_last_owner:
            _spare_last_owner(conn, id, now)
        revoked = key_store.revoke(conn, id, now)
        key = key_store.get(conn, id)
        if key is None:
            raise UsageError(f'There is no key "{id}". `flywheel keys list` shows them.')
        if not revoked:
            raise UsageError(f"The key {id} was revoked at {key.revoked_at}.")
        record(conn, by, "keys.revoke", id)
        return key

    return database.write(write)


def key_of(database: Database, secret: str) -> Key | None:
    """The valid key with this secret; None where it lets nobody in."""
    with database.read() as conn:
        key = key_store.of_hash(conn, hash_of(secret))
    return key if key and state_of(key) == "valid" else None


def stamp(database: Database) -> Stamp:
    """Another one than before, where a key was made, revoked or has expired since."""
    with database.read() as conn:
        return key_store.stamp(conn, _text(datetime.now(UTC)))


def caller_of(database: Database, secret: str) -> Caller | None:
    """Who calls with this secret; None where it lets nobody in."""
    key = key_of(database, secret)
    return _caller(key) if key else None


def sign_in(database: Database, key: Key, instead_of: str = "") -> str:
    """Starts a session of a browser that acts by this key; gives its cookie, always a new one.

    Args:
        instead_of: the cookie of the browser's session before, which ends.
    """
    cookie = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    session = Session(
        key=key,
        csrf=secrets.token_urlsafe(32),
        expires_at=_text(now + timedelta(hours=SESSION_HOURS)),
    )

    def write(conn: Connection) -> None:
        corrections.lock(conn)
        key_store.end_expired(conn, _text(now))
        key_store.end_session(conn, hash_of(instead_of))
        key_store.put_session(conn, session, hash_of(cookie))
        if key.role != "asker":
            record(conn, _caller(key), "sessions.start", key.id)

    database.write(write)
    return cookie


def caller_of_session(database: Database, cookie: str) -> Caller | None:
    """Who signed in with this cookie; None where the session or its key holds no more."""
    with database.read() as conn:
        session = key_store.of_session(conn, hash_of(cookie))
    if session is None or session.expires_at <= _text(datetime.now(UTC)):
        return None
    return _caller(session.key, session.csrf) if state_of(session.key) == "valid" else None


def sign_out(database: Database, cookie: str) -> None:
    """Ends a session. One that is over is fine."""
    database.write(lambda conn: key_store.end_session(conn, hash_of(cookie)))


def record(conn: Connection, by: Caller | None, action: str, target: str) -> None:
    """Writes down what an owner or a curator did, in the transaction that does it.

    Args:
        by: None is the command line's owner.
        action: such as `keys.add`, `versions.promote`, `corrections.confirm`.
        target: the id of what it was done to; nobody's words.
    """
    audit.put(
        conn,
        Act(
            at=_text(datetime.now(UTC)),
            user=by.name if by else COMMAND_LINE,
            role=by.role if by else "owner",
            action=action,
            target=target,
        ),
    )


def acts(database: Database, limit: int = 100, skip: int = 0) -> Sequence[Act]:
    """What owners and curators did, the latest first."""
    with database.read() as conn:
        return audit.list_acts(conn, limit, skip)


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _spare_last_owner(conn: Connection, id: str, now: str) -> None:
    key = key_store.get(conn, id)
    if key is None or key.role != "owner" or key.state(now) != "valid":
        return
    if key_store.count_valid(conn, now, "owner") == 1:
        raise LastOwner(
            "This is the last key of an owner. Make another one first, or revoke it by "
            f"`flywheel keys revoke {id}`."
        )


def _access(role: Role, access: Sequence[str] | None) -> tuple[str, ...] | None:
    if role == "owner" and access is None:
        return None
    labels = {PUBLIC, *(_line("label", each) for each in access or ())}
    if len(labels) > MAX_LABELS:
        raise UsageError(f"A key reads at most {MAX_LABELS} labels.")
    return tuple(sorted(labels))


def _line(noun: str, text: str) -> str:
    line = text.strip()
    if not line or len(line) > MAX_NAME_CHARS or not line.isprintable():
        raise UsageError(f"A key's {noun} is a line of 1 to {MAX_NAME_CHARS} characters.")
    return line


def _check_grant(key: Key, by: Caller | None) -> None:
    """An owner who may not read everything gives nobody more than he has."""
    if by is None or by.access is None:
        return
    if key.access is None or not set(key.access) <= {PUBLIC, *by.access}:
        raise UsageError(
            f"You may read {', '.join(sorted({PUBLIC, *by.access}))}: a key of yours may read no "
            "more than that."
        )


def _caller(key: Key, csrf: str = "") -> Caller:
    return Caller(key=key.id, name=key.name, role=key.role, access=key.access, csrf=csrf)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
