"""Corrections say what they said; their marks change, and every change has a number."""

from __future__ import annotations

from dataclasses import replace

from flywheel.records import Correction
from flywheel.store import corrections
from flywheel.store.corrections import Entry
from flywheel.store.database import Database


def entry(id: str, user: str = "ines", key: str = "where", at: str = "2026-01-01") -> Entry:
    return Entry(
        correction=Correction(
            id=id,
            question="Where? 哪里？",
            answer="拨动",
            evidence=("拨", "动"),
            passages=("p1",),
            user=user,
            role="curator",
            at=at,
            verified=True,
            access=("hr", "public"),
        ),
        key=key,
        readable=("hr",),
    )


def put(database: Database, *entries: Entry) -> None:
    database.write(lambda conn: corrections.put_all(conn, entries))


def test_correction_comes_back_as_it_was(database: Database) -> None:
    everything = replace(entry("b", user="tom", key="when"), readable=None)
    put(database, entry("a"), everything)
    with database.read() as conn:
        assert corrections.get(conn, "a") == replace(entry("a"), change=1)
        assert corrections.get(conn, "b") == replace(everything, change=1)
        assert corrections.get(conn, "none") is None
        assert [each.id for each in corrections.in_force(conn)] == ["a", "b"]
        assert list(corrections.of_keys(conn, ["when", "none"])) == ["when"]


def test_earliest_comes_first(database: Database) -> None:
    put(database, entry("a", at="2026-01-02"), entry("b", at="2026-01-01"))
    with database.read() as conn:
        found = corrections.of_keys(conn, ["where"])["where"]
        assert [each.correction.id for each in found] == ["b", "a"]


def test_of_one_time_the_first_to_come_is_first_whatever_was_marked(database: Database) -> None:
    put(database, entry("b"), entry("a"))
    database.write(lambda conn: corrections.mark_all(conn, [entry("b")]))
    with database.read() as conn:
        assert [each.id for each in corrections.in_force(conn)] == ["b", "a"]


def test_marks_change_and_what_is_said_does_not(database: Database) -> None:
    put(database, entry("a"), entry("b"))
    said = replace(entry("a").correction, answer="other", disputed=True, review="why")
    marked = replace(entry("a"), correction=said, decided_by="tom")
    database.write(lambda conn: corrections.mark_all(conn, [marked]))
    with database.read() as conn:
        found = corrections.get(conn, "a")
    assert found is not None
    assert (found.correction.answer, found.correction.disputed) == ("拨动", True)
    assert (found.correction.review, found.decided_by, found.change) == ("why", "tom", 2)


def test_withdrawn_correction_is_not_in_force_and_still_kept(database: Database) -> None:
    put(database, entry("a"))
    database.write(
        lambda conn: corrections.mark_all(conn, [replace(entry("a"), withdrawn="replaced")])
    )
    with database.read() as conn:
        assert list(corrections.in_force(conn)) == []
        assert corrections.of_keys(conn, ["where"]) == {}
        assert corrections.get(conn, "a") is not None


def test_reader_sees_only_what_changed_since(database: Database) -> None:
    put(database, entry("a"))
    put(database, entry("b"))
    with database.read() as conn:
        seen = corrections.latest_change(conn)
        assert corrections.changed_since(conn, seen) == []
        assert len(corrections.changed_since(conn, 0)) == 2
    database.write(
        lambda conn: corrections.mark_all(conn, [replace(entry("a"), withdrawn="replaced")])
    )
    with database.read() as conn:
        [changed] = corrections.changed_since(conn, seen)
    assert (changed.correction.id, changed.withdrawn) == ("a", "replaced")


def test_lock_is_held_until_the_write_ends(database: Database, url: str) -> None:
    with Database.open(url) as other:
        for opened in (database, other, database):
            opened.write(corrections.lock)
