"""What curators decided, and the lean rows of what waits for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from flywheel.records import Answer, Correction, Feedback, Interaction, Kind
from flywheel.store import corrections, feedback, interactions, quarantine, review_lists, reviews
from flywheel.store.corrections import Entry
from flywheel.store.database import Database
from flywheel.store.review_lists import Closing
from flywheel.store.reviews import Review

CLOSING = Closing(kinds=("abstained", "unsure"), decisions=("dismissed",))


def put_asked(
    conn: Connection,
    id: str,
    key: str,
    kind: Kind = "abstain",
    confidence: float = 0.1,
    user: str = "ada",
) -> None:
    answer = Answer(
        question=f"{key}?", answer="", draft="", kind=kind, confidence=confidence,
        citations=(), passages=(),
    )  # fmt: skip
    asked = Interaction(
        id=id, question=f"{key}?", candidates=(answer,), version=1, user=user, at=f"2026-01-{id}"
    )
    interactions.put(conn, asked, key)


def put_acts(conn: Connection, *acts: Feedback) -> None:
    feedback.put_all(conn, acts, {act.id: "x" for act in acts})


def act(id: str, **values: Any) -> Feedback:
    given = {"kind": "flag", "user": "ada", "role": "asker", "at": f"2026-01-{id}", **values}
    return Feedback(id=id, **given)


def entry(id: str, key: str = "q", **values: Any) -> Entry:
    correction = Correction(
        id=id, question=f"{key}?", answer=id, evidence=(), passages=(), user="ada", role="asker",
        at=f"2026-01-{id}", verified=False,
    )  # fmt: skip
    return Entry(correction=replace(correction, **values), key=key)


def test_decision_takes_the_place_of_the_one_before(database: Database) -> None:
    first = Review(item="flag:1", decision="dismissed", user="ines", at="2026-01-01")
    assert database.write(lambda conn: reviews.put(conn, first)).change == 1
    second = replace(first, decision="confirmed", user="olaf")
    assert database.write(lambda conn: reviews.put(conn, second)).change == 2
    with database.read() as conn:
        assert reviews.get(conn, "flag:1") == replace(second, change=2)
        assert reviews.get(conn, "flag:2") is None


def test_decisions_are_found_by_kind_and_taken_back(database: Database) -> None:
    def write(conn: Connection) -> None:
        for item in ("flag:1", "abstained:f%", "unsure:f"):
            reviews.put(conn, Review(item=item, decision="x", user="ines", at="2026-01-02"))

    database.write(write)
    with database.read() as conn:
        found = {each.item for each in reviews.of_kinds(conn, ["abstained", "unsure"])}
        assert found == {"abstained:f%", "unsure:f"}
        assert reviews.count_since(conn, "ines", "2026-01-02") == 3
        assert reviews.count_since(conn, "ines", "2026-01-03") == 0
    database.write(lambda conn: reviews.remove(conn, "flag:1"))
    with database.read() as conn:
        assert reviews.get(conn, "flag:1") is None


def test_corrections_wait_until_they_are_verified_and_undisputed(database: Database) -> None:
    def write(conn: Connection) -> None:
        entries = [
            entry("1"),
            entry("2", verified=True),
            entry("3", verified=True, disputed=True, review="curators contradict each other"),
            replace(entry("4"), withdrawn="withdrawn"),
        ]
        corrections.put_all(conn, entries)

    database.write(write)
    with database.read() as conn:
        waiting = review_lists.waiting_corrections(conn)
        assert [(each.id, each.disputed, each.access) for each in waiting] == [
            ("1", False, ("public",)),
            ("3", True, ("public",)),
        ]


def test_unanswered_questions_come_with_how_often_and_the_last_time(database: Database) -> None:
    def write(conn: Connection) -> None:
        put_asked(conn, "01", "door")
        put_asked(conn, "02", "window")
        put_asked(conn, "03", "door", user="bo")
        put_asked(conn, "04", "door", "answer", 0.9)
        put_asked(conn, "05", "")

    database.write(write)
    with database.read() as conn:
        found = review_lists.abstained(conn, 10, CLOSING)
        assert [(each.key, each.num, each.id) for each in found] == [
            ("door", 2, "03"),
            ("window", 1, "02"),
        ]
        assert [each.key for each in review_lists.abstained(conn, 1, CLOSING)] == ["door"]
        assert review_lists.asked(conn, ["door", "lamp"]) == {"door": 3}
        assert review_lists.askers(conn, "door") == 2


def test_unsure_answers_come_least_sure_first_each_question_once(database: Database) -> None:
    def write(conn: Connection) -> None:
        put_asked(conn, "01", "door", "answer", 0.4)
        put_asked(conn, "02", "door", "answer", 0.3)
        put_asked(conn, "03", "window", "answer", 0.2)
        put_asked(conn, "04", "lamp", "answer", 0.9)
        put_asked(conn, "05", "roof", "abstain", 0.1)

    database.write(write)
    with database.read() as conn:
        found = review_lists.unsure(conn, 0.5, 10, CLOSING)
        assert [(each.key, each.confidence, each.num) for each in found] == [
            ("window", 0.2, 1),
            ("door", 0.3, 2),
        ]
        assert [each.key for each in review_lists.unsure(conn, 0.5, 1, CLOSING)] == ["window"]
        shown = review_lists.shown(conn, ["04"])["04"]
        assert (shown.key, shown.kind, shown.confidence) == ("lamp", "answer", 0.9)
        assert review_lists.stood_on(conn, ["04", "x"]).keys() == {"04"}


def test_closed_questions_take_no_place_of_those_that_wait(database: Database) -> None:
    decided = [
        Review(item="unsure:door", decision="dismissed", user="ines", at="2026"),
        Review(item="abstained:roof", decision="dismissed", user="ines", at="2026"),
        Review(item="unsure:seat", decision="confirmed", user="ines", at="2026"),
    ]

    def write(conn: Connection) -> None:
        for key in ("door", "roof", "lamp", "seat", "wheel"):
            put_asked(conn, f"a-{key}", key)
            put_asked(conn, f"b-{key}", key, "answer", 0.2)
        for each in decided:
            reviews.put(conn, each)
        gone = replace(entry("2", key="wheel"), withdrawn="withdrawn")
        corrections.put_all(conn, [entry("1", key="lamp"), gone])

    database.write(write)
    with database.read() as conn:
        for found in (
            review_lists.abstained(conn, 2, CLOSING),
            review_lists.unsure(conn, 0.5, 2, CLOSING),
        ):
            assert [each.key for each in found] == ["seat", "wheel"]


def test_flag_that_was_taken_back_does_not_wait(database: Database) -> None:
    database.write(
        lambda conn: put_acts(
            conn,
            act("01", interaction="i"),
            act("02", interaction="i", user="bo"),
            act("03", interaction="i", kind="retract"),
            act("04", question="Where?"),
        )
    )
    with database.read() as conn:
        assert [each.id for each in review_lists.flags(conn, 10)] == ["04", "02"]
        assert review_lists.num_acts(conn) == 4


@pytest.mark.parametrize("decision", ["released", "rejected"])
def test_acts_in_quarantine_are_decided_on_until_that_is_taken_back(
    database: Database, decision: Any
) -> None:
    def write(conn: Connection) -> None:
        put_acts(conn, act("01"), act("02", role="curator"))
        quarantine.decide(conn, ["01"], decision, "ines", "2026-01-01")
        corrections.put_all(conn, [replace(entry("03", verified=True), decided_by="olaf")])

    database.write(write)
    with database.read() as conn:
        assert review_lists.times_of_askers(conn) == [("01", "ada", "2026-01-01")]
        assert reviews.decided_acts(conn, ["01", "02", "03"]) == {"01": "ines", "03": "olaf"}
    database.write(lambda conn: reviews.undecide_acts(conn, ["01"]))
    with database.read() as conn:
        assert reviews.decided_acts(conn, ["01"]) == {}
