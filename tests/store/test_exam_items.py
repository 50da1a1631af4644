"""Questions drawn for the exam, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

from flywheel.store import exam_items
from flywheel.store.database import Database
from flywheel.store.exam_items import ExamItem


def make_item(id: str, user: str = "ada") -> ExamItem:
    return ExamItem(
        id=id, question=f"问 {id}？", interaction=f"i-{id}", user=user, at=f"2026-01-0{id}"
    )


GOLD = replace(
    make_item("2", user="ben"),
    state="gold",
    answer="拨动。",
    evidence=("拨动儿童锁",),
    answerable=True,
    decided_by="cleo",
)


def listed(database: Database) -> list[ExamItem]:
    with database.read() as conn:
        return exam_items.list_items(conn)


def test_items_come_back_in_the_order_in_which_they_were_asked(database: Database) -> None:
    items = [make_item("2"), make_item("1")]
    database.write(lambda conn: exam_items.put_all(conn, items))
    database.write(lambda conn: exam_items.put_all(conn, []))
    assert listed(database) == items[::-1]


def test_curators_word_is_kept_and_the_question_is_left_as_it_was_asked(
    database: Database,
) -> None:
    database.write(lambda conn: exam_items.put_all(conn, [make_item("2", user="ben")]))
    said = replace(GOLD, question="another question")
    database.write(lambda conn: exam_items.decide_all(conn, [said]))
    assert listed(database) == [GOLD]


def test_erased_interaction_takes_its_item_with_it(database: Database) -> None:
    database.write(lambda conn: exam_items.put_all(conn, [make_item("1"), GOLD]))
    erased = database.write(lambda conn: exam_items.erase_interactions(conn, ["i-1", "i-9"]))
    assert (erased, listed(database)) == (1, [GOLD])


def test_erased_user_takes_what_he_asked_with_him(database: Database) -> None:
    database.write(lambda conn: exam_items.put_all(conn, [make_item("1"), GOLD]))
    assert database.write(lambda conn: exam_items.erase_user(conn, "ada")) == 1
    assert listed(database) == [GOLD]


def test_erased_curator_takes_his_words_with_him_and_the_question_waits_again(
    database: Database,
) -> None:
    database.write(lambda conn: exam_items.put_all(conn, [make_item("1"), GOLD]))
    assert database.write(lambda conn: exam_items.erase_user(conn, "cleo")) == 1
    assert listed(database) == [make_item("1"), make_item("2", user="ben")]
