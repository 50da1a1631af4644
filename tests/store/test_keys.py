"""Keys and sessions come back as they were, and what is revoked lets nobody in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from flywheel.store import keys
from flywheel.store.database import Database
from flywheel.store.keys import Key, Session

NOW, LATER = "2026-03-01T08:00:00.000+00:00", "2026-03-01T20:00:00.000+00:00"
DESK = Key(id="b", name="Service desk 客服", role="asker", access=("public",), created_at=NOW)
BOSS = Key(id="a", name="ines", role="owner", access=None, created_at=NOW, expires_at=LATER)


def put_both(database: Database) -> None:
    def write(conn: Connection) -> None:
        keys.put(conn, DESK, "hash of b")
        keys.put(conn, BOSS, "hash of a")

    database.write(write)


def test_keys_come_back_as_they_were_the_oldest_first(database: Database) -> None:
    put_both(database)
    with database.read() as conn:
        assert keys.list_keys(conn) == [BOSS, DESK]
        assert keys.get(conn, "b") == DESK
        assert keys.of_hash(conn, "hash of a") == BOSS
        assert (keys.get(conn, "none"), keys.of_hash(conn, "none")) == (None, None)


def test_two_keys_with_one_secret_are_refused(database: Database) -> None:
    put_both(database)
    with pytest.raises(IntegrityError):
        database.write(lambda conn: keys.put(conn, replace(DESK, id="c"), "hash of b"))


def test_revoked_once_and_its_sessions_end(database: Database) -> None:
    put_both(database)
    session = Session(key=DESK, csrf="token", expires_at=LATER)
    database.write(lambda conn: keys.put_session(conn, session, "hash of cookie"))
    with database.read() as conn:
        assert keys.of_session(conn, "hash of cookie") == session
    assert database.write(lambda conn: keys.revoke(conn, "b", LATER))
    assert not database.write(lambda conn: keys.revoke(conn, "b", NOW))
    assert not database.write(lambda conn: keys.revoke(conn, "none", NOW))
    with database.read() as conn:
        assert keys.get(conn, "b") == replace(DESK, revoked_at=LATER)
        assert keys.of_session(conn, "hash of cookie") is None


def test_sessions_end_one_by_one_and_when_they_expire(database: Database) -> None:
    put_both(database)

    def write(conn: Connection) -> None:
        for name, expires in (("x", NOW), ("y", LATER), ("z", LATER)):
            keys.put_session(conn, Session(key=BOSS, csrf="", expires_at=expires), name)
        keys.end_session(conn, "y")
        keys.end_session(conn, "none")
        keys.end_expired(conn, NOW)

    database.write(write)
    with database.read() as conn:
        assert [bool(keys.of_session(conn, each)) for each in "xyz"] == [False, False, True]


def test_state_of_a_key_follows_the_time() -> None:
    assert (DESK.state(LATER), BOSS.state(NOW), BOSS.state(LATER)) == ("valid", "valid", "expired")
    assert replace(BOSS, revoked_at=NOW).state(LATER) == "revoked"


def test_stamp_tells_that_a_key_was_made_revoked_or_has_expired(database: Database) -> None:
    def stamp(at: str) -> keys.Stamp:
        with database.read() as conn:
            return keys.stamp(conn, at)

    assert stamp(NOW) == (0, 0, 0)
    put_both(database)
    assert (stamp(NOW), stamp(LATER)) == ((2, 0, 0), (2, 0, 1))
    database.write(lambda conn: keys.revoke(conn, "b", LATER))
    assert stamp(NOW) == (2, 1, 0)
