"""Decisions on acts in quarantine."""

from __future__ import annotations

from flywheel.store import quarantine
from flywheel.store.database import Database


def test_decisions_come_back_and_the_last_one_counts(database: Database) -> None:
    ids = [str(number) for number in range(1200)]
    database.write(lambda conn: quarantine.decide(conn, ids, "rejected", "eve", "2026-01-01"))
    database.write(lambda conn: quarantine.decide(conn, ["7"], "released", "eve", "2026-01-02"))
    with database.read() as conn:
        found = quarantine.decisions(conn)
    assert found == dict.fromkeys(ids, "rejected") | {"7": "released"}
