"""Versions and the champion, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from functools import partial

import pytest

from flywheel.errors import UsageError
from flywheel.records import Score
from flywheel.store import versions
from flywheel.store.database import Database
from flywheel.store.versions import Decision, Version


def make_version(number: int, decision: Decision = "promoted") -> Version:
    return Version(
        number=number,
        created_at="2026-01-01T00:00:00Z",
        parent=number - 1 or None,
        bundle={"index": "abc", "thresholds": {"answer": 0.35}, "名": [1, None, True]},
        bundle_hash="cd",
        metrics={"evidence_mrr": Score(value=1 / 3, low=0.1, high=0.5, count=160)},
        decision=decision,
        reasons=("better on evidence_mrr", "没有退步"),
    )


def test_version_comes_back_as_it_was(database: Database) -> None:
    database.write(lambda conn: versions.put(conn, make_version(1)))
    database.write(lambda conn: versions.put(conn, make_version(2, "kept")))
    with database.read() as conn:
        assert versions.get(conn, 2) == make_version(2, "kept")
        assert versions.list_versions(conn) == [make_version(1), make_version(2, "kept")]
        assert versions.get(conn, 3) is None


def test_numbers_go_up_from_one(database: Database) -> None:
    with database.read() as conn:
        assert versions.next_number(conn) == 1
    database.write(lambda conn: versions.put(conn, make_version(1)))
    with database.read() as conn:
        assert versions.next_number(conn) == 2


def test_there_is_one_champion_at_a_time(database: Database) -> None:
    with database.read() as conn:
        assert versions.champion(conn) is None
    for number in (1, 2):
        database.write(partial(versions.put, version=make_version(number)))
        database.write(partial(versions.set_champion, number=number))
        with database.read() as conn:
            assert versions.champion(conn) == make_version(number)


def test_champion_must_exist(database: Database) -> None:
    with pytest.raises(UsageError, match="no version 7"):
        database.write(lambda conn: versions.set_champion(conn, 7))


def test_version_is_never_written_over(database: Database) -> None:
    database.write(lambda conn: versions.put(conn, make_version(1)))
    with pytest.raises(Exception, match=r"(?i)unique"):
        database.write(lambda conn: versions.put(conn, make_version(1, "kept")))
    with database.read() as conn:
        assert versions.get(conn, 1) == make_version(1)


def test_best_version_is_the_champion_until_one_is_marked(database: Database) -> None:
    with database.read() as conn:
        assert versions.best(conn) is None
    for number in (1, 2):
        database.write(partial(versions.put, version=make_version(number)))
    database.write(partial(versions.set_champion, number=2))
    with database.read() as conn:
        assert versions.best(conn) == make_version(2)
    database.write(partial(versions.set_best, number=1))
    with database.read() as conn:
        assert versions.best(conn) == make_version(1)
        assert versions.champion(conn) == make_version(2)
