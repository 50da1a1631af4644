"""What is held out for the exam is known again, in nearly the same words too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flywheel.learn.groups import group
from flywheel.store import exam_items
from flywheel.store.exam_items import ExamItem
from flywheel.wheel.review.held_out import HeldOut, held_out

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

QUESTIONS = [
    "Where does the child lock of the rear door sit exactly?",
    "Where does the child lock of the rear door sit?",
    "Where does the window lock sit?",
    "后排车门的儿童锁在哪里？",
    "请问后排车门的儿童锁在哪里呢？",
    "后排车窗的防夹保护怎么关闭？",
    "…",
    "",
]


@pytest.mark.parametrize("exam", QUESTIONS)
def test_near_duplicates_are_those_that_learning_leaves_out(exam: str) -> None:
    held = HeldOut([exam])
    for each in QUESTIONS:
        assert held.asks(each) == bool(group([each], [exam]).overlapping)


def test_file_and_drawn_questions_are_held_out_as_soon_as_they_are_there(blank: Domain) -> None:
    assert not held_out(blank.workspace).asks("Where is the lock?")
    line = {"id": 1, "question": "Where is the lock?", "answerable": False}
    (blank.root / "exam.jsonl").write_text(json.dumps(line))
    assert held_out(blank.workspace).asks("Where is the lock?")
    item = ExamItem(id="a", question="锁在哪里？", interaction="i", user="ada", at="2026-01-01")
    blank.workspace.database.write(lambda conn: exam_items.put_all(conn, [item]))
    held = held_out(blank.workspace)
    assert held.asks("锁在哪里？")
    assert held_out(blank.workspace) is held


def test_exam_that_cannot_be_read_stops_no_list(blank: Domain) -> None:
    (blank.root / "exam.jsonl").write_text("{")
    assert not held_out(blank.workspace).asks("Where is the lock?")
