"""What is exported is what Label Studio imports, and no more than a curator may read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.wheel.reviewing import (
    INES,
    NARROW,
    correct,
    draw,
    flag,
    put_asked,
    rule,
    suggest,
)

from flywheel.wheel.keys import Caller
from flywheel.wheel.review.export import LABELLING, export

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

QUESTION = "Where is the child lock?"
EVIDENCE = "The child lock sits on the edge of each rear door."


@pytest.fixture
def workspace(blank: Domain) -> Workspace:
    return blank.workspace


def exported(workspace: Workspace, caller: Caller = INES) -> dict[str, dict[str, Any]]:
    """The tasks by their questions, each of the documented shape."""
    tasks = json.loads("".join(export(workspace, caller)))
    for task in tasks:
        check(task)
    return {task["data"]["question"]: task for task in tasks}


def check(task: dict[str, Any]) -> None:
    """As labelstud.io/guide/task_format and labelstud.io/guide/predictions have it."""
    assert task.keys() == {"data", "predictions", "annotations"}
    tags = dict(re.findall(r'<(?:TextArea|Choices) name="(\w+)" toName="(\w+)"', LABELLING))
    for each in task["predictions"]:
        assert isinstance(each["model_version"], str)
        assert isinstance(each.get("score", 0.0), float)
    for each in task["annotations"]:
        assert each["was_cancelled"] is False
        assert isinstance(each["created_at"], str)
    for each in (*task["predictions"], *task["annotations"]):
        for region in each["result"]:
            assert region.keys() == {"id", "from_name", "to_name", "type", "value"}
            assert tags[region["from_name"]] == region["to_name"]
            field = {"textarea": "text", "choices": "choices"}[region["type"]]
            assert region["value"].keys() == {field}
            assert all(isinstance(text, str) for text in region["value"][field])


def said(results: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What the first prediction or annotation says, by the name of its field."""
    return {each["from_name"]: next(iter(each["value"].values())) for each in results[0]["result"]}


def test_nothing_is_an_empty_list(workspace: Workspace) -> None:
    assert exported(workspace) == {}


def test_answer_is_the_prediction_and_the_curators_the_annotation(domain: Domain) -> None:
    workspace = domain.workspace
    put_asked(workspace, "a", QUESTION, "answer", 0.4, draft="In the glove box.")
    rule(workspace, "unsure", "a", "confirmed", "On the edge.", [EVIDENCE])
    task = exported(workspace)[QUESTION]
    assert said(task["predictions"]) == {"answer": ["In the glove box."]}
    assert (task["predictions"][0]["model_version"], task["predictions"][0]["score"]) == (
        "version 1",
        0.4,
    )
    assert said(task["annotations"]) == {
        "answer": ["On the edge."],
        "evidence": [EVIDENCE],
        "verdict": ["confirmed"],
    }


def test_suggestion_is_a_prediction_until_a_curator_decides(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    task = exported(workspace)[QUESTION]
    assert said(task["predictions"]) == {"answer": ["On the edge."]}
    assert task["annotations"] == []
    rule(workspace, "suggested", "s1", "withdrawn")
    task = exported(workspace)[QUESTION]
    assert said(task["annotations"])["verdict"] == ["withdrawn"]


def test_question_without_an_answer_and_what_waits_are_tasks_too(workspace: Workspace) -> None:
    put_asked(workspace, "a", QUESTION)
    rule(workspace, "abstained", "a", "unanswerable")
    put_asked(workspace, "b", "儿童锁在哪里？", draft="在后车门的边缘。")
    flag(workspace, "f", put_asked(workspace, "c", "Where is the jack?", "answer", 0.9))
    found = exported(workspace)
    assert said(found[QUESTION]["annotations"]) == {"verdict": ["unanswerable"]}
    assert said(found["儿童锁在哪里？"]["predictions"]) == {"answer": ["在后车门的边缘。"]}
    assert found["Where is the jack?"]["annotations"] == []


def test_questions_of_the_exam_are_left_out(workspace: Workspace) -> None:
    asked = put_asked(workspace, "a", QUESTION)
    draw(workspace, "x", QUESTION, asked)
    correct(workspace, "c", QUESTION, "On the edge.", "ines")
    assert exported(workspace) == {}


def test_more_questions_than_are_read_at_once_all_come(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel.wheel.review.export._AT_ONCE", 2)
    for number in range(5):
        correct(workspace, f"c{number}", f"Where is part {number}?", "Here.", "ines")
        correct(workspace, f"d{number}", f"Where is part {number}?", "There.", "olaf")
        put_asked(workspace, f"a{number}", f"What is tool {number}?")
    found = exported(workspace)
    assert len(found) == 10
    assert len(found["Where is part 3?"]["annotations"]) == 2


def test_narrow_curator_exports_only_what_he_may_read(domain: Domain) -> None:
    workspace = domain.workspace
    domain.add(
        domain.write("staff/pay.md", "# Pay\n\nZorkmids are paid at noon."), access=["staff"]
    )
    put_asked(workspace, "a", "What shows no passage?")
    rule(workspace, "abstained", "a", "confirmed", "Paid at noon.", ["Zorkmids are paid at noon."])
    correct(workspace, "c", QUESTION, "On the edge.", "ines")
    put_asked(workspace, "b", "What else shows no passage?")
    assert exported(workspace, NARROW).keys() == {QUESTION}
    assert len(exported(workspace)) == 3
