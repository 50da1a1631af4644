"""Opening, reading, writing and closing, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from flywheel.errors import FlywheelError, SettingsError, StoreError
from flywheel.store.database import Database
from flywheel.store.tables import state


def put(conn: Connection, key: str) -> None:
    conn.execute(insert(state).values(key=key, value=1))


def keys(database: Database) -> set[str]:
    with database.read() as conn:
        return set(conn.scalars(select(state.c.key)))


@contextmanager
def held(database: Database) -> Iterator[ThreadPoolExecutor]:
    """A write that stays unfinished within, with threads for those that wait behind it."""
    started, go_on = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        put(conn, "held")
        started.set()
        go_on.wait()

    with ThreadPoolExecutor(16) as threads:
        threads.submit(database.write, hold)
        started.wait()
        try:
            yield threads
        finally:
            go_on.set()


def wait_in_line(database: Database, number: int) -> None:
    """Returns once that many writes are waiting."""
    while database._writer._queue.qsize() < number:
        threading.Event().wait(0.001)


def test_write_returns_what_its_function_returns(database: Database) -> None:
    assert database.write(lambda conn: conn.scalar(select(func.count()).select_from(state))) == 0


def test_failing_write_leaves_nothing_and_raises_its_own_error(database: Database) -> None:
    def fail(conn: Connection) -> None:
        put(conn, "half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(fail)
    assert keys(database) == set()


def test_failing_write_does_not_fail_its_neighbours(database: Database) -> None:
    database.write(partial(put, key="there"))
    with held(database) as threads:
        acknowledged: list[Future[None]] = []
        for key in ("first", "there", "third"):
            acknowledged.append(threads.submit(database.write, partial(put, key=key)))
            wait_in_line(database, len(acknowledged))
    assert acknowledged[0].exception() is None
    assert isinstance(acknowledged[1].exception(), IntegrityError)
    assert acknowledged[2].exception() is None
    assert keys(database) == {"there", "held", "first", "third"}


def test_waiting_writes_share_one_commit(database: Database) -> None:
    commits: list[Connection] = []

    def count(connection: Connection) -> None:
        commits.append(connection)

    with held(database) as threads:
        for number in range(10):
            threads.submit(database.write, partial(put, key=str(number)))
        wait_in_line(database, 10)
        event.listen(Engine, "commit", count)
    event.remove(Engine, "commit", count)
    assert len(keys(database)) == 11
    assert len(commits) == 2  # the held one, and all that waited


def test_readers_are_not_blocked_and_see_only_what_is_committed(database: Database) -> None:
    with held(database):
        assert keys(database) == set()
    assert keys(database) == {"held"}


def test_reader_sees_one_state_throughout(database: Database) -> None:
    count = select(func.count()).select_from(state)
    with database.read() as conn:
        before = conn.scalar(count)
        database.write(partial(put, key="new"))
        assert conn.scalar(count) == before == 0
    assert keys(database) == {"new"}


def test_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError, match="read-only"), database.read() as conn:
        put(conn, "lost")


def test_eight_threads_write_while_others_read(database: Database) -> None:
    stop = threading.Event()

    def write(thread: int) -> None:
        for number in range(25):
            database.write(partial(put, key=f"{thread}-{number}"))

    def read() -> list[int]:
        sizes = []
        while not stop.is_set():
            sizes.append(len(keys(database)))
        return sizes

    with ThreadPoolExecutor(10) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for done in [threads.submit(write, thread) for thread in range(8)]:
            done.result()
        stop.set()
        for reader in readers:
            assert reader.result() == sorted(reader.result())
    assert len(keys(database)) == 200


def test_more_threads_read_at_once_than_the_pool_keeps(database: Database) -> None:
    together = threading.Barrier(20)

    def read() -> None:
        with database.read() as conn:
            conn.scalar(select(func.count()).select_from(state))
            together.wait(timeout=60)

    with ThreadPoolExecutor(20) as threads:
        for done in [threads.submit(read) for _ in range(20)]:
            done.result()


def write_from_another_process(url: str, name: str) -> None:
    with Database.open(url) as database:
        for number in range(20):
            database.write(partial(put, key=f"{name}-{number}"))


def test_processes_open_a_blank_database_and_write_at_once(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=write_from_another_process, args=(url, name)) for name in "ab"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with Database.open(url) as database:
        assert len(keys(database)) == 40


def test_forked_process_is_told_to_open_its_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)
    with pytest.raises(StoreError, match="open it again"):
        database.write(partial(put, key="lost"))
    with pytest.raises(StoreError, match="open it again"), database.read():
        pass


def test_closing_finishes_what_waits_and_refuses_the_rest(url: str) -> None:
    database = Database.open(url)
    with held(database) as threads:
        waiting = threads.submit(database.write, partial(put, key="waiting"))
        wait_in_line(database, 1)
        closing = threads.submit(database.close)
    assert waiting.exception() is None
    closing.result()
    with pytest.raises(StoreError, match="closed"):
        database.write(partial(put, key="late"))
    with Database.open(url) as again:
        assert keys(again) == {"held", "waiting"}


def test_file_is_locked_by_another_process(tmp_path: Path) -> None:
    file = tmp_path / "flywheel.db"
    with Database.open(f"sqlite:///{file}", busy_timeout_seconds=0.05) as database:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process"):
            database.write(partial(put, key="lost"))
        other.close()
        database.write(partial(put, key="kept"))
        assert keys(database) == {"kept"}


def test_full_disk_fails_the_write_and_keeps_the_rest(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path}/flywheel.db") as database:
        database.write(partial(put, key="before"))
        pages = database.write(lambda conn: conn.exec_driver_sql("PRAGMA page_count").scalar())
        database.write(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count={pages}").close())
        with pytest.raises(StoreError, match="Free some space"):
            database.write(partial(put, key="x" * 100_000))
        assert keys(database) == {"before"}
        database.write(lambda conn: conn.execute(delete(state)).close())
        assert keys(database) == set()


def test_lost_connection_is_reported_and_the_next_write_works(server: Any) -> None:
    def lose(conn: Connection) -> None:
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with Database.open(server.make_database()) as database:
        with pytest.raises(StoreError, match="does not answer"):
            database.write(lose)
        database.write(partial(put, key="after"))
        assert keys(database) == {"after"}


def test_error_in_a_query_stays_the_programmers(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as conn:
        conn.execute(text("SELECT nothing FROM nowhere"))


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("sqlite:////no/such/folder/flywheel.db", StoreError, "folder exists"),
        ("postgresql+psycopg://u:p@127.0.0.1:1/x", StoreError, "does not answer"),
        ("sqlite://", SettingsError, "sqlite:///PATH"),
        ("mysql://host/x", SettingsError, "sqlite:///PATH"),
        ("flywheel.db", SettingsError, "no database URL"),
    ],
)
def test_wrong_url_says_what_to_do(url: str, kind: type[FlywheelError], words: str) -> None:
    with pytest.raises(kind, match=words):
        Database.open(url)


def test_server_refuses_with_a_reason(server: Any) -> None:
    url = server.make_database()
    with pytest.raises(StoreError, match="Create it") as absent:
        Database.open(f"{url}_absent")
    assert server.password not in str(absent.value)
    with pytest.raises(StoreError, match="password"):
        Database.open(url.replace(server.password, "wrong"))


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "flywheel.db").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="backup"):
        Database.open(f"sqlite:///{tmp_path}/flywheel.db")


def test_missing_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="pip install"):
        Database.open("postgresql+psycopg://u:p@127.0.0.1:1/x")


def test_commits_reach_the_disk(database: Database) -> None:
    def setting(conn: Connection) -> Any:
        if conn.dialect.name == "sqlite":
            return conn.exec_driver_sql("PRAGMA synchronous").scalar()
        return conn.exec_driver_sql("SHOW synchronous_commit").scalar()

    assert database.write(setting) in (2, "on")  # 2 is FULL


def test_opening_a_current_database_leaves_alembic_alone(url: str) -> None:
    Database.open(url).close()
    script = (
        "import sys; from flywheel.store.database import Database; "
        "Database.open(sys.argv[1]).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, url], check=True)
