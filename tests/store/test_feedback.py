"""Feedback is kept as it came."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, update
from sqlalchemy.exc import IntegrityError

from flywheel.records import Feedback, Interaction
from flywheel.store import feedback, interactions
from flywheel.store.database import Database
from flywheel.store.tables import feedback as table

RANK = Feedback(
    id="f1",
    kind="rank",
    user="ines",
    role="curator",
    at="2026-01-12T09:50:00.000+00:00",
    question="Wo? 哪里？",
    interaction="i1",
    candidate=1,
    answer="拨动",
    evidence=("拨", "动"),
    candidates=("a", "b"),
    order=(1, 0),
    reason="why",
)
UP = Feedback(id="f2", kind="up", user="tom", role="asker", at="2026-01-11", question="?")
CONTENTS = {"f1": "aa", "f2": "bb"}


def put_both(database: Database) -> None:
    database.write(lambda conn: feedback.put_all(conn, [RANK, UP], CONTENTS))


def test_feedback_comes_back_as_it_was(database: Database) -> None:
    put_both(database)
    with database.read() as conn:
        assert list(feedback.list_feedback(conn)) == [UP, RANK]
        assert feedback.get(conn, "f1") == RANK
        assert feedback.get(conn, "none") is None
        assert feedback.of_interaction(conn, "i1") == [RANK]
        assert feedback.of_interactions(conn, ["none", "i1"]) == {"i1": [RANK]}


def test_acts_on_many_interactions_are_read_at_once_but_not_the_erased_ones(
    database: Database,
) -> None:
    acts = [replace(UP, id=f"{n}", interaction=f"i{n % 3}", at=f"2026-{9 - n}") for n in range(6)]
    contents = {each.id: "aa" for each in acts} | {"4": ""}
    database.write(lambda conn: feedback.put_all(conn, acts, contents))
    with database.read() as conn:
        found = feedback.of_interactions(conn, ["i0", "i1"])
    assert found == {"i0": [acts[3], acts[0]], "i1": [acts[1]]}


def test_rated_answers_are_counted_once_by_version_and_kind(database: Database) -> None:
    asked = [
        Interaction(id=id, question="?", candidates=(), version=version, user="u", at=f"2026-{id}")
        for id, version in (("i2", 1), ("i1", 1), ("i3", 2))
    ]
    acts = [
        replace(UP, id=f"{interaction}-{user}", interaction=interaction, user=user)
        for interaction, user in (("i1", "a"), ("i1", "b"), ("i2", "a"), ("elsewhere", "a"))
    ]
    put_both(database)

    def put_asked(conn: Connection) -> None:
        for each in asked:
            interactions.put(conn, each)

    database.write(put_asked)
    database.write(
        lambda conn: feedback.put_all(conn, acts, dict.fromkeys([each.id for each in acts], "cc"))
    )
    with database.read() as conn:
        assert feedback.count_rated(conn) == {1: {"up": 2, "rank": 1}}
        assert interactions.count_versions(conn) == {1: 2, 2: 1}
        assert [each.id for each in interactions.list_questions(conn)] == ["i1", "i2", "i3"]


def test_known_ids_come_with_their_contents(database: Database) -> None:
    put_both(database)
    with database.read() as conn:
        assert feedback.contents(conn, ["f1", "none", "f2"]) == CONTENTS


def test_id_is_taken_once(database: Database) -> None:
    put_both(database)
    with pytest.raises(IntegrityError):
        put_both(database)
    with database.read() as conn:
        assert len(list(feedback.list_feedback(conn))) == 2


def test_erased_feedback_is_listed_no_more_and_its_id_stays_known(database: Database) -> None:
    put_both(database)
    erase = update(table).where(table.c.id == "f1").values(content="", question="", answer="")
    database.write(lambda conn: conn.execute(erase).close())
    with database.read() as conn:
        assert list(feedback.list_feedback(conn)) == [UP]
        assert feedback.contents(conn, ["f1"]) == {"f1": ""}
        assert feedback.erased(conn) == ["f1"]
