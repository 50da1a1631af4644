"""Databases for the store's tests: an SQLite file, and one on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from flywheel.store.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A blank database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/flywheel.db"
    make_database: Callable[[], str] = request.getfixturevalue("make_database")
    return make_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database.open(url) as opened:
        yield opened


Plan = Callable[[Callable[[Connection], object]], list[str]]


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    """Tells how SQLite goes about what a function reads: the steps of its plan."""
    with Database.open(f"sqlite:///{tmp_path}/plan.db") as database:

        def steps_of(function: Callable[[Connection], object]) -> list[str]:
            steps: list[str] = []

            def explain(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                explained = conn.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                steps.extend(row[3] for row in explained)

            with database.read() as conn:
                event.listen(conn, "before_cursor_execute", explain)
                function(conn)
            return steps

        yield steps_of
