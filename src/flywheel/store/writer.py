"""The one writer: a thread that commits whatever is waiting together.

A commit waits for the disk, so one a write is slow; grouped, writes of many threads share a wait.
Each has a savepoint of its own, and is acknowledged only after the commit that holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, NestedTransaction
from sqlalchemy.exc import DBAPIError

from flywheel.errors import StoreError
from flywheel.store.failures import explain

T = TypeVar("T")

_MAX_GROUP = 256
"""Writes in one transaction: bounds how long the first one waits for its acknowledgement."""


@dataclass(frozen=True, slots=True)
class _Write:
    function: Callable[[Connection], Any]
    acknowledged: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = None


class Writer:
    """Runs functions on a connection, in the order of their coming, on a thread of its own."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._state = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def write(self, function: Callable[[Connection], T]) -> T:
        """What `function` returns, once it is on disk; what it raises, once it is undone."""
        assert threading.current_thread() is not self._thread, (
            "a write within a write waits forever"
        )
        write = _Write(function)
        with self._state:
            if self._closed:
                raise StoreError(f"{self._name} has been closed.")
            self._start()
            self._queue.put(write)
        return cast(T, write.acknowledged.result())

    def close(self) -> None:
        """Finishes what is waiting. Further writes are refused."""
        with self._state:
            self._closed = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="flywheel-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._write_next_group():
            pass

    def _write_next_group(self) -> bool:
        group, more = self._next_group()
        if group:
            self._commit(group)
        return more

    def _next_group(self) -> tuple[list[_Write], bool]:
        """What is waiting, at least one write, and whether more can come."""
        group: list[_Write] = []
        write = self._queue.get()
        while write is not None:
            group.append(write)
            if len(group) == _MAX_GROUP:
                return group, True
            try:
                write = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _commit(self, group: list[_Write]) -> None:
        try:
            with self._engine.begin() as connection:
                outcomes = [_attempt(connection, write.function) for write in group]
        except BaseException as error:
            outcomes = [_Outcome(error=error) for _ in group]
        for write, outcome in zip(group, outcomes, strict=True):
            if outcome.error is None:
                write.acknowledged.set_result(outcome.value)
            else:
                write.acknowledged.set_exception(explain(outcome.error, self._name))


def _attempt(connection: Connection, function: Callable[[Connection], Any]) -> _Outcome:
    savepoint = connection.begin_nested()
    try:
        value = function(connection)
    except BaseException as error:
        if not _undo(connection, savepoint):
            raise
        return _Outcome(error=error)
    savepoint.commit()
    return _Outcome(value=value)


def _undo(connection: Connection, savepoint: NestedTransaction) -> bool:
    """Whether the group can go on: a full disk or a lost connection ends its transaction."""
    try:
        savepoint.rollback()
    except DBAPIError:
        return False
    return not connection.invalidated
