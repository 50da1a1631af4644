"""`flywheel exam`: the questions that wait, and their answers, as a curator types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.learn.groups import is_drawn

if TYPE_CHECKING:
    from tests.cli.conftest import Run

EVIDENCE = "Every door opens from inside by pulling the handle twice."
QUESTION = next(each for each in (f"handle {number}" for number in range(999)) if is_drawn(each))


@pytest.fixture
def drawn(flywheel: Run, ready: Path) -> Path:
    """The workspace, once a question was drawn."""
    assert flywheel("ask", QUESTION).code == 0
    assert flywheel("turn").code == 0
    return ready


def test_waiting_question_is_printed_filled_in_and_given_back(flywheel: Run, drawn: Path) -> None:
    told = flywheel("exam", "--waiting")
    line = json.loads(told.out)
    assert (line["question"], line["evidence"]) == (QUESTION, [])
    assert flywheel("exam", "--waiting", "--json").data == {"waiting": [line]}
    gold = drawn / "gold.jsonl"
    gold.write_text(json.dumps(line | {"evidence": [EVIDENCE]}) + "\n")
    assert flywheel("exam", "--gold", gold).out == "1 joined the exam, 0 dropped, 0 still wait.\n"
    data = {"gold": 1, "dropped": 0, "waiting": 0}
    assert flywheel("exam", "--gold", gold, "--json").data == data
    ended = flywheel("exam", "--waiting")
    assert (ended.out, ended.code) == ("", 0)
    assert ended.err == "No question waits. Every turn draws from what users asked.\n"


def test_wrong_line_is_named(flywheel: Run, drawn: Path) -> None:
    line = json.loads(flywheel("exam", "--waiting").out)
    gold = drawn / "gold.jsonl"
    gold.write_text(json.dumps(line | {"evidence": ["Nobody wrote this."]}) + "\n")
    ended = flywheel("exam", "--gold", gold)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f'{gold}, line 1: "evidence" 1 stands in no current document; copy it from there\n'
    )


@pytest.mark.parametrize(
    "arguments",
    ["", "--waiting questions.jsonl", "--waiting --gold g.jsonl", "--waiting --answers a.jsonl"],
)
def test_only_one_thing_is_done_at_a_time(flywheel: Run, ready: Path, arguments: str) -> None:
    ended = flywheel("exam", *arguments.split())
    assert ended.code == 2
    assert "Name one of FILE, --waiting and --gold; --answers goes with FILE." in ended.err


def test_versions_tell_how_their_answers_were_rated(flywheel: Run, ready: Path) -> None:
    asked = [flywheel("ask", "Where is the handle?", "--json").data for _ in range(2)]
    lines = [
        {"kind": kind, "interaction": each["interaction"], "user": user}
        for each, kind, user in (
            (asked[0], "up", "a"),
            (asked[0], "up", "b"),
            (asked[1], "down", "a"),
        )
    ]
    path = ready / "feedback.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    assert flywheel("feedback", "import", path).code == 0
    [version] = flywheel("versions", "--json").data["versions"]
    assert (version["asked"], version["feedback"]) == (2, {"up": 1, "down": 1})
