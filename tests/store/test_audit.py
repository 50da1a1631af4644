"""What owners and curators did is written down in order, whoever writes at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import Connection, select

from flywheel.store import audit, corrections
from flywheel.store.audit import Act
from flywheel.store.database import Database
from flywheel.store.tables import audit as table

NUM_ACTS = 40


def act(target: str) -> Act:
    return Act(
        at="2026-03-01T08:00:00.000+00:00",
        user="Inés 伊内斯",
        role="owner",
        action="keys.add",
        target=target,
    )


def test_acts_come_back_the_latest_first_and_in_pages(database: Database) -> None:
    for target in "abc":
        database.write(lambda conn, target=target: audit.put(conn, act(target)))  # type: ignore[misc]
    with database.read() as conn:
        assert audit.list_acts(conn) == [act("c"), act("b"), act("a")]
        assert audit.list_acts(conn, limit=1) == [act("c")]
        assert audit.list_acts(conn, limit=5, skip=2) == [act("a")]


def test_an_act_is_written_down_only_with_what_it_tells_of(database: Database) -> None:
    def fail(conn: Connection) -> None:
        audit.put(conn, act("a"))
        raise ValueError("what it tells of failed")

    with suppress(ValueError):
        database.write(fail)
    with database.read() as conn:
        assert audit.list_acts(conn) == []


def test_two_processes_never_give_one_number(database: Database, url: str) -> None:
    """A server and a command each have a writer of their own, here two of one process."""

    def lock_first(conn: Connection, target: str) -> None:
        corrections.lock(conn)
        audit.put(conn, act(target))

    with Database.open(url) as other, ThreadPoolExecutor(8) as together:
        for number in range(NUM_ACTS):
            of = (database, other)[number % 2]
            first = lock_first if number % 3 else lambda conn, target: audit.put(conn, act(target))
            together.submit(of.write, lambda conn, n=number, do=first: do(conn, str(n)))
    with database.read() as conn:
        numbers = list(conn.scalars(select(table.c.number).order_by(table.c.number)))
        assert numbers == list(range(1, NUM_ACTS + 1))
        assert {each.target for each in audit.list_acts(conn)} == {*map(str, range(NUM_ACTS))}
