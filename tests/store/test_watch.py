"""A commit by whomever is seen; what is only read, or undone, is none."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from flywheel.store import state
from flywheel.store.database import Database


def test_commits_of_this_process_and_of_others_are_told(tmp_path: Path) -> None:
    file = tmp_path / "flywheel.db"
    with (
        Database.open(f"sqlite:///{file}") as database,
        Database.open(f"sqlite:///{file}") as other,
    ):
        seen = [database.commits()]
        assert database.commits() == seen[0]
        for number, each in enumerate((database, other, database)):
            each.write(partial(state.put, key="何", value=number))
            seen.append(database.commits())
            assert database.commits() == seen[-1]
        assert len(set(seen)) == 4
        with database.read() as conn:
            state.get(conn, "何")
        assert database.commits() == seen[-1]


def test_looking_keeps_no_state_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "flywheel.db"
    with Database.open(f"sqlite:///{file}") as database:
        database.write(lambda conn: state.put(conn, "a", "x" * 10_000))
        assert database.commits() is not None
        database.compact(["state"])
        with sqlite3.connect(file) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_a_server_does_not_tell(database: Database) -> None:
    is_file = bool(database.files())
    assert (database.commits() is not None) == is_file


def test_where_the_file_is_gone_nothing_is_told(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path}/flywheel.db") as database:
        for file in database.files():
            file.unlink()
        (tmp_path / "flywheel.db").mkdir()
        assert database.commits() is None
