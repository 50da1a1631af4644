"""Rows of the exam and the counts of ratings, in both databases."""

from __future__ import annotations

from sqlalchemy import Connection

from flywheel.records import Answer, Feedback, FeedbackKind, Interaction
from flywheel.store import exam_rows, feedback, interactions, ratings, versions
from flywheel.store.database import Database
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.store.ratings import Rated
from flywheel.store.versions import Version

VERSION = Version(
    number=1, created_at="2026", parent=None, bundle={"index": "i"}, bundle_hash="h",
    decision="promoted",
)  # fmt: skip


def row(id: str, hit: bool | None = None) -> ExamRow:
    return ExamRow(
        question=key_of(id), digest="d", language="zh", kind="answer", confidence=0.5, hit=hit,
        values={"brier": 0.25}, latency_ms=1.5, found=("p1", "p2"), gold=(("p1",), ()),
    )  # fmt: skip


def test_rows_come_back_as_they_were_put_and_replace_those_before(database: Database) -> None:
    database.write(lambda conn: versions.put(conn, VERSION))
    card = {"at": "2026", "num": 2}
    rows = sorted([row("锁"), row("b", hit=True)], key=lambda each: each.question)
    database.write(lambda conn: exam_rows.put_all(conn, 1, card, rows))
    with database.read() as conn:
        assert exam_rows.list_rows(conn, 1) == rows
        assert exam_rows.card(conn, 1) == card
        assert exam_rows.get(conn, 1, key_of("b")) == row("b", hit=True)
        assert exam_rows.get(conn, 1, "") is None
        assert exam_rows.card(conn, 2) is None and exam_rows.list_rows(conn, 2) == []
    database.write(lambda conn: exam_rows.put_all(conn, 1, {}, [row("c")]))
    with database.read() as conn:
        assert exam_rows.list_rows(conn, 1) == [row("c")]


def test_ratings_are_counted_by_day_and_version(database: Database) -> None:
    answer = Answer(
        question="q", answer="a", draft="a", kind="answer", confidence=0.5, citations=(),
        passages=(),
    )  # fmt: skip
    asked = [
        Interaction(id=id, question="q", candidates=(answer,), version=version, user="u", at=at)
        for id, version, at in (
            ("a", 1, "2026-05-01T09"), ("b", 1, "2026-05-01T10"), ("c", 2, "2026-05-02T09"),
            ("d", 1, "2026-04-01T09"),
        )
    ]  # fmt: skip
    kinds: tuple[tuple[str, FeedbackKind], ...] = (
        ("a", "up"), ("b", "up"), ("b", "flag"), ("d", "down"),
    )  # fmt: skip
    said = [
        Feedback(id=f"{id}{kind}", kind=kind, user="u", role="asker", at="2026-06", interaction=id)
        for id, kind in kinds
    ]

    def write(conn: Connection) -> None:
        for each in asked:
            interactions.put(conn, each)
        feedback.put_all(conn, said, {each.id: "c" for each in said})

    database.write(write)
    with database.read() as conn:
        assert ratings.count_days(conn, "2026-05-01") == [
            Rated(day="2026-05-01", version=1, asked=2, answered=2, liked=1, criticised=1, flags=1),
            Rated(day="2026-05-02", version=2, asked=1, answered=1),
        ]
