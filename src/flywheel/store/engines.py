"""Connections to SQLite or PostgreSQL, set up so that acknowledged means on disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from flywheel.errors import SettingsError, StoreError

SQLITE, POSTGRESQL = "sqlite", "postgresql+psycopg"

_POOL: dict[str, Any] = {"pool_size": 8, "max_overflow": 56}
"""A connection for each thread that reads; what is over eight closes after use."""


_FORMS = "write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME"


def parse_url(text: str) -> URL:
    """The URL, if it names a database that the store can use.

    Raises:
        SettingsError: it does not.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise SettingsError(f"store.url is no database URL: {_FORMS}") from error
    in_file = url.drivername == SQLITE and url.database not in (None, "", ":memory:")
    if not in_file and url.drivername != POSTGRESQL:
        raise SettingsError(f"store.url names {url.render_as_string()}: {_FORMS}")
    return url


def reading_engine(url: URL, timeout_seconds: float) -> Engine:
    """Each connection sees one state of the data, is never blocked, and cannot write."""
    if url.drivername == SQLITE:
        engine = _sqlite(url, timeout_seconds, "BEGIN", **_POOL)
        _on_connect(engine, "PRAGMA query_only=ON")
        return engine
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return _postgresql(url, timeout_seconds, execution_options=options, **_POOL)


def writing_engine(url: URL, timeout_seconds: float, *, foreign_keys: bool = True) -> Engine:
    """The engine of the one writer; migrations rebuild tables, so they do without foreign keys."""
    if url.drivername == POSTGRESQL:
        return _postgresql(url, timeout_seconds, pool_size=1)
    # IMMEDIATE takes the lock at once: a transaction that read first could not wait for it.
    engine = _sqlite(url, timeout_seconds, "BEGIN IMMEDIATE", pool_size=1)
    _on_connect(engine, "PRAGMA synchronous=FULL")
    if foreign_keys:
        _on_connect(engine, "PRAGMA foreign_keys=ON")
    return engine


def enable_write_ahead_log(url: URL, timeout_seconds: float) -> str | None:
    """SQLite's journal mode afterwards; None where another process is turning it on just now."""
    engine = create_engine(url, connect_args={"timeout": timeout_seconds}, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            mode: str = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
    except OperationalError as error:
        # The busy timeout does not hold for this statement.
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return None
        raise
    return mode


def compact(url: URL, tables: Sequence[str], timeout_seconds: float) -> bool:
    """Gives back, and clears, what deleted and changed rows took up; outside any transaction.

    Returns:
        Whether SQLite's log is empty now. It is not while another process reads an older state.
    """
    if url.drivername == POSTGRESQL:
        options = {"isolation_level": "AUTOCOMMIT"}
        engine = _postgresql(url, timeout_seconds, poolclass=NullPool, execution_options=options)
        with engine.connect() as connection:
            for table in tables:
                # ANALYZE, since the planner's statistics keep samples of what stood in a column.
                connection.exec_driver_sql(f'VACUUM (FULL, ANALYZE) "{table}"')
        return True
    engine = create_engine(url, connect_args={"timeout": timeout_seconds}, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM")
        row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    return bool(row[0] == 0)


def _sqlite(url: URL, timeout_seconds: float, begin: str, **pool: Any) -> Engine:
    arguments = {"timeout": timeout_seconds}
    engine = create_engine(url, connect_args=arguments, json_serializer=dump_json, **pool)

    # The driver's own transactions start late and end early, around savepoints above all.
    @event.listens_for(engine, "connect")
    def disable_driver_transactions(connection: Any, entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _on_connect(engine: Engine, pragma: str) -> None:
    @event.listens_for(engine, "connect")
    def execute(connection: Any, entry: ConnectionPoolEntry) -> None:
        connection.execute(pragma).close()


def _postgresql(url: URL, timeout_seconds: float, **options: Any) -> Engine:
    arguments = {
        "connect_timeout": 10,
        "options": f"-c lock_timeout={round(timeout_seconds * 1000)} -c synchronous_commit=on",
    }
    try:
        return create_engine(
            url,
            connect_args=arguments,
            json_serializer=dump_json,
            pool_pre_ping=True,
            **options,
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs a driver: pip install 'flywheel-assistant[postgresql]'"
        ) from error


def dump_json(value: Any) -> str:
    """The JSON that both databases take: UTF-8, without NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
        return json.dumps(value, allow_nan=False)
    return text
