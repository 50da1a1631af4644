"""The database of a workspace: opening, reading, writing, closing.

SQLite and PostgreSQL behave alike: readers see one state of the data and are never blocked by
the writer; a write is on disk before it is acknowledged. Not here: what the rows mean.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import URL, Connection, Engine

from flywheel.errors import StoreError
from flywheel.store import schema
from flywheel.store.engines import (
    SQLITE,
    compact,
    enable_write_ahead_log,
    parse_url,
    reading_engine,
    writing_engine,
)
from flywheel.store.failures import explained
from flywheel.store.watch import Watch
from flywheel.store.writer import Writer

T = TypeVar("T")


class Database:
    """An open database. Safe for threads; every process opens its own."""

    def __init__(self, name: str, reading: Engine, writing: Engine, timeout_seconds: float) -> None:
        self._name, self._reading, self._writing = name, reading, writing
        self._timeout_seconds = timeout_seconds
        self._writer = Writer(writing, name)
        file = writing.url.database if writing.url.drivername == SQLITE else None
        self._watch = Watch(file, timeout_seconds) if file else None
        self._process = os.getpid()

    @classmethod
    def open(cls, url: str, *, busy_timeout_seconds: float = 30.0) -> Self:
        """Opens the database, makes it where it is blank, and upgrades it where it is older.

        Args:
            url: `sqlite:///PATH` or `postgresql+psycopg://…`.
            busy_timeout_seconds: how long a write waits for another process's writes.

        Raises:
            SettingsError: the URL is of another kind.
            StoreError: the database does not answer, is locked, full or read-only.
            WorkspaceError: a newer release has made it.
        """
        parsed = parse_url(url)
        name = _name(parsed)
        reading = reading_engine(parsed, busy_timeout_seconds)
        try:
            with explained(name):
                _prepare(parsed, reading, name, busy_timeout_seconds)
        except BaseException:
            reading.dispose()
            raise
        writing = writing_engine(parsed, busy_timeout_seconds)
        return cls(name, reading, writing, busy_timeout_seconds)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees the data as they were at its first query, and cannot write."""
        self._check_process()
        with explained(self._name), self._reading.connect() as connection:
            yield connection

    def write(self, function: Callable[[Connection], T]) -> T:
        """Runs `function` on the writer's connection and returns its result once it is on disk.

        What it raises undoes this write alone. Other threads' writes share the commit, so
        it should be quick, and must not call `write` itself.

        Raises:
            StoreError: the disk is full, or the database is locked or gone. Nothing is written,
                unless a server went away in the moment of the commit.
        """
        self._check_process()
        return self._writer.write(function)

    def compact(self, tables: Sequence[str]) -> None:
        """Clears what deleted and changed rows of these tables leave in the files.

        Raises:
            StoreError: another process holds on to an older state of the data.
        """
        self._check_process()
        with explained(self._name):
            done = compact(self._writing.url, tables, self._timeout_seconds)
        if not done:
            raise StoreError(
                f"{self._name} is being read by another process, which keeps its log from being "
                "cleared. Let that one finish, then run the same command again."
            )

    def commits(self) -> int | None:
        """Another number than before, where anything was committed since, by whatever process;
        None where the database does not tell. It takes 5 µs, a look at what may have changed 80.
        """
        self._check_process()
        if self._watch is None:
            return None
        try:
            return self._watch.number()
        except sqlite3.Error:  # what is wrong, the next read says
            return None

    def files(self) -> list[Path]:
        """The files that the data are in; none where a server keeps them."""
        if self._writing.url.drivername != SQLITE:
            return []
        name = str(self._writing.url.database)
        every = (Path(name + suffix) for suffix in ("", "-wal", "-journal"))
        return [path for path in every if path.is_file()]

    def close(self) -> None:
        """Finishes the waiting writes and closes the connections."""
        self._writer.close()
        if self._watch is not None:
            self._watch.close()
        self._reading.dispose()
        self._writing.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_process(self) -> None:
        # A forked child has no writer thread, and would corrupt the parent's connections.
        if os.getpid() != self._process:
            raise StoreError(f"{self._name} was opened by another process: open it again here.")


def _name(url: URL) -> str:
    return str(url.database) if url.drivername == SQLITE else f"The database {url!r}"


def _prepare(url: URL, reading: Engine, name: str, timeout_seconds: float) -> None:
    if url.drivername == SQLITE:
        _use_write_ahead_log(url, name, timeout_seconds)
    with reading.connect() as connection:
        if schema.is_current(connection):
            return
    engine = writing_engine(url, timeout_seconds, foreign_keys=False)
    try:
        with engine.begin() as connection:
            schema.upgrade(connection)
    finally:
        engine.dispose()


def _use_write_ahead_log(url: URL, name: str, timeout_seconds: float) -> None:
    """Turns on the log that lets readers and the writer work at once. The file remembers it."""
    deadline = time.monotonic() + timeout_seconds
    while (mode := enable_write_ahead_log(url, timeout_seconds)) is None:
        if time.monotonic() > deadline:
            raise StoreError(f"{name} is locked by another process. Let that one finish first.")
        time.sleep(0.02)
    if mode != "wal":
        raise StoreError(
            f"{name} is on a file system without shared memory, such as a network share. Move the "
            "workspace to a local disk, or name a PostgreSQL database in store.url."
        )
