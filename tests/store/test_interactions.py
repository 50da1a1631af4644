"""Interactions, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from flywheel.records import Answer, Citation, Interaction, Passage
from flywheel.store import interactions
from flywheel.store.database import Database
from flywheel.store.tables import interactions as table

if TYPE_CHECKING:
    from tests.store.conftest import Plan

columns = table.c

PASSAGE = Passage(
    id="p1",
    document="d1",
    title="车门",
    headings=("儿童锁",),
    text="拨动儿童锁。",
    language="zh-hans",
    position=3,
    access=("staff", "public"),
)
CITATION = Citation(
    document="d1",
    title="车门",
    headings=("儿童锁",),
    passage="p1",
    quote="拨动",
    start=0,
    end=2,
)
ANSWER = Answer(
    question="儿童锁在哪里？",
    answer="拨动",
    draft="拨动",
    kind="answer",
    confidence=0.1 + 0.2,
    citations=(CITATION,),
    passages=(PASSAGE,),
    timings_ms={"search": 3.5},
)


def make_interaction(id: str) -> Interaction:
    second = replace(ANSWER, kind="ask_back", choices=("左", "右"), citations=())
    return Interaction(
        id=id,
        question="儿童锁在哪里？",
        candidates=(ANSWER, second),
        version=2,
        user="u1",
        at="2026-01-01T00:00:00Z",
    )


def test_interaction_comes_back_with_all_candidates(database: Database) -> None:
    interaction = make_interaction("i1")
    database.write(lambda conn: interactions.put(conn, interaction))
    with database.read() as conn:
        assert interactions.get(conn, "i1") == interaction
        assert interactions.get(conn, "i2") is None


def test_question_with_a_null_character_is_kept(database: Database) -> None:
    hostile = replace(make_interaction("i1"), question="a\x00b", user="x\x00")
    database.write(lambda conn: interactions.put(conn, hostile))
    with database.read() as conn:
        found = interactions.get(conn, "i1")
    assert found is not None
    assert found.question == "a\\x00b"


def test_interactions_are_found_by_ids_and_by_question(database: Database) -> None:
    every = [make_interaction(f"i{number}") for number in range(3)]
    every.append(replace(make_interaction("i3"), question="other", at="2025-01-01T00:00:00Z"))
    for each in every:
        database.write(partial(interactions.put, interaction=each))
    with database.read() as conn:
        assert interactions.get_all(conn, ["i2", "none"]) == {"i2": every[2]}
        assert interactions.of_questions(conn, ["other", every[0].question]) == [
            every[3],
            *every[:3],
        ]
        assert interactions.of_questions(conn, ["none"]) == []


def test_questions_of_before_get_their_keys_a_few_at_a_time(database: Database) -> None:
    every = [make_interaction(f"i{number}") for number in range(5)]
    every.append(replace(make_interaction("none"), candidates=(), question="..."))
    every.append(replace(make_interaction("erased"), candidates=(), question=""))
    database.write(lambda conn: interactions.put_all(conn, [(each, "") for each in every]))
    key = make_interaction("known")
    database.write(lambda conn: interactions.put(conn, key, "its own"))

    def fill(conn: Connection) -> int:
        return interactions.fill_keys(conn, lambda text: text.strip(".？"), limit=4)

    assert [database.write(fill) for _ in range(3)] == [4, 2, 0]
    with database.read() as conn:
        found = conn.execute(select(columns.key, func.count()).group_by(columns.key)).all()
    assert dict(map(tuple, found)) == {"儿童锁在哪里": 5, "?": 1, "": 1, "its own": 1}


def asked(database: Database, *questions: str, user: str = "u1") -> None:
    """Questions of a user, two of them in every minute."""
    keyed = [
        (
            replace(make_interaction(f"{user}-{n}"), question=each, user=user, at=f"2026-{n // 2}"),
            "",
        )
        for n, each in enumerate(questions)
    ]
    database.write(lambda conn: interactions.put_all(conn, keyed))


def test_questions_of_a_user_come_in_pages_the_latest_first(database: Database) -> None:
    asked(database, *"abcdefg")
    asked(database, "another's", user="u2")
    with database.read() as conn:
        lines: list[interactions.Line] = []
        while page := interactions.list_page(
            conn, "u1", limit=3, before=(lines[-1].at, lines[-1].id) if lines else None
        ):
            lines += page
        nobody = interactions.list_page(conn, "")
    assert [each.question for each in lines] == list("gfedcba")
    assert (lines[0].kind, lines[0].confidence, lines[0].version) == ("answer", 0.1 + 0.2, 2)
    assert nobody == []


def test_questions_are_found_by_parts_in_english_and_chinese(database: Database) -> None:
    asked(
        database, "Where is the Child lock?", "儿童锁在哪里？", "LOCK the child, 100%", "100 locks"
    )
    with database.read() as conn:

        def found(search: str) -> list[str]:
            lines = interactions.list_page(conn, "u1", search=search)
            return [each.id.removeprefix("u1-") for each in lines]

        assert found("child LOCK") == ["2", "0"]
        assert found("童锁") == ["1"]
        assert found("哪里 儿童") == ["1"]
        assert found("100%") == ["2"], "no sign of a search stands for others"
        assert found("1_0") == found("\\") == []
        assert found("  ") == ["3", "2", "1", "0"]


def test_pages_of_a_user_are_read_off_an_index(plan: Plan) -> None:
    [step] = plan(lambda conn: interactions.list_page(conn, "u1", before=("2026", "i"), search="x"))
    assert step.startswith("SEARCH interactions USING INDEX interactions_of_user (user=?")


def test_questions_without_keys_are_found_by_an_index(plan: Plan) -> None:
    [step] = plan(lambda conn: interactions.fill_keys(conn, str.lower))
    assert step.startswith("SEARCH interactions USING INDEX interactions_of_question (kind=?")
