"""Whether a database is sound, and whether anybody else has it open. Changes nothing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, select, text
from sqlalchemy.exc import DBAPIError

from flywheel.errors import FlywheelError, StoreError, WorkspaceBusy
from flywheel.store.engines import SQLITE, parse_url, reading_engine
from flywheel.store.failures import explained
from flywheel.store.tables import metadata

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_WAIT_SECONDS = 1.0
"""For those who are just about to close it."""

_OTHERS = text(
    """SELECT application_name, host(client_addr) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
    AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
)


def problem_of(conn: Connection) -> str:
    """What is wrong with the database's pages or tables; empty where nothing is."""
    if conn.dialect.name == "sqlite":
        found = conn.scalar(text("PRAGMA quick_check(1)"))
        return "" if found == "ok" else str(found)
    for table in metadata.sorted_tables:
        conn.execute(select(table).limit(1)).first()
    return ""


def is_damaged(error: FlywheelError) -> bool:
    """Whether an error tells that SQLite can make no sense of its file."""
    cause = error.__cause__
    code = getattr(cause.orig, "sqlite_errorcode", 0) if isinstance(cause, DBAPIError) else 0
    return code & 0xFF in _DAMAGED


def is_locked(error: FlywheelError) -> bool:
    """Whether an error tells that somebody else was writing for too long."""
    cause = error.__cause__
    if not isinstance(cause, DBAPIError):
        return False
    code = getattr(cause.orig, "sqlite_errorcode", 0) & 0xFF
    return code in _LOCKED or getattr(cause.orig, "sqlstate", "") == "55P03"


def refuse_others(url: str) -> None:
    """Lets a database pass that nobody else has open. The caller has it closed.

    Raises:
        WorkspaceBusy: somebody has; on PostgreSQL, as the same user.
        StoreError: it does not answer.
    """
    parsed = parse_url(url)
    is_file = parsed.drivername == SQLITE
    others = _of_file(str(parsed.database)) if is_file else _of_server(parsed)
    if others:
        name = parsed.database if is_file else f"The database {parsed!r}"
        raise WorkspaceBusy(
            f"{name} is open in {others}. Stop what uses it, the server above all, and run this "
            "again."
        )


def _of_file(place: str) -> str:
    """With a log beside it, a file is held on to by each connection, also by one that is idle."""
    if not Path(place).is_file():
        return ""
    with closing(sqlite3.connect(place, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").close()
            connection.execute("SELECT count(*) FROM sqlite_master").close()
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                return "another process"
            if code not in _DAMAGED:  # else whoever opens it is told that
                raise StoreError(f"{place} cannot be opened: {error}.") from error
    return ""


def _of_server(url: URL) -> str:
    engine = reading_engine(url, _WAIT_SECONDS)
    deadline = time.monotonic() + _WAIT_SECONDS
    try:
        with explained(f"The database {url!r}"), engine.connect() as conn:
            while (others := conn.execute(_OTHERS).all()) and time.monotonic() < deadline:
                conn.rollback()
                time.sleep(0.05)
    finally:
        engine.dispose()
    return ", ".join(sorted({_described(*each) for each in others}))


def _described(application: Any, address: Any) -> str:
    return f"{application or 'a session'} at {address or 'this machine'}"
