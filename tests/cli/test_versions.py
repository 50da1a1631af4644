"""`flywheel versions` and what stands below it, `trace` and `erase`: for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

QUESTION = "Who may open the barn of Cornelius after midnight?"
EDIT = {
    "id": "a",
    "kind": "edit",
    "question": QUESTION,
    "answer": "Only Cornelius himself, with the rusty key.",
    "user": "ines@example.org",
}


def correct(flywheel: Run, folder: Path) -> None:
    path = folder / "feedback.jsonl"
    path.write_text(json.dumps(EDIT) + "\n")
    assert flywheel("feedback", "import", path).code == 0
    path.unlink()


def second_version(flywheel: Run, ready: Path) -> None:
    text = "# Lamps\n\nThe lamps are replaced by the workshop every nine years."
    (ready.parent / "documents" / "lamps.md").write_text(text)
    flywheel("add", "../documents")
    assert flywheel("turn", "--json").data["champion"] == 2


def test_rollback_promote_and_history(flywheel: Run, ready: Path) -> None:
    second_version(flywheel, ready)
    told = flywheel("versions", "rollback", "--reason", "worse")
    assert (told.code, told.out) == (0, "Version 1 serves, in place of version 2.\n")
    data = flywheel("versions", "promote", "2", "--json").data
    assert data == {"champion": 2, "before": 1, "passed": []}
    history = flywheel("versions", "--json").data["history"]
    assert [(each["version"], each["by"]) for each in history] == [
        (1, "gate"), (2, "gate"), (1, "rollback"), (2, "owner"),
    ]  # fmt: skip
    assert history[2]["reason"] == "worse"


def test_nothing_to_go_back_to_is_told_in_a_line(flywheel: Run, ready: Path) -> None:
    ended = flywheel("versions", "rollback")
    assert (ended.code, ended.err) == (2, "There is no earlier champion to go back to.\n")
    ended = flywheel("versions", "promote", "9")
    assert ended.err == "There is no version 9; `flywheel versions` lists them.\n"


def test_compare_shows_gains_with_intervals(flywheel: Run, ready: Path) -> None:
    second_version(flywheel, ready)
    data = flywheel("versions", "compare", "1", "2", "--json").data
    assert data["versions"] == [1, 2] and data["synthetic"]
    gain = data["gains"]["all"]["evidence_mrr"]
    assert gain["low"] <= gain["gain"] <= gain["high"]
    told = flywheel("versions", "compare", "1", "2").out
    assert "version 2 against 1, 7 questions, 95 % intervals" in told and "synthetic" in told


def test_trace_of_a_corrected_answer_names_the_correction(flywheel: Run, ready: Path) -> None:
    correct(flywheel, ready)
    lines = flywheel("ask", QUESTION).out.splitlines()
    interaction = lines[-1].removeprefix("interaction ")
    told = flywheel("trace", interaction).out
    assert "answered by" in told and "a, edit by ines@example.org (owner)" in told
    data = flywheel("trace", interaction, "--json").data
    assert data["correction"]["feedback"]["id"] == "a"
    assert data["version"]["number"] == 1 and data["question"] == QUESTION
    told = flywheel("trace", "a").out
    assert "verified" in told and "none: its evidence stands in no current document" in told


def test_trace_of_an_answer_from_the_documents(flywheel: Run, ready: Path) -> None:
    question = "Where on the rear door does the child lock sit?"
    interaction = flywheel("ask", question, "--json").data["interaction"]
    data = flywheel("trace", interaction, "--json").data
    assert [(each["path"], each["state"]) for each in data["cited"]] == [("doors.md", "current")]
    (ready.parent / "documents" / "doors.md").unlink()
    flywheel("add", "../documents")
    assert "deleted at" in flywheel("trace", interaction).out


@pytest.mark.parametrize("id", ["nobody", "", "'; DROP TABLE feedback", "\x1b[31m", "x" * 3000])
def test_trace_of_an_unknown_id_is_told_in_a_line(flywheel: Run, ready: Path, id: str) -> None:
    ended = flywheel("trace", id)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Nothing is known by the id") and len(ended.err.splitlines()) == 1
    assert "\x1b" not in ended.err


def test_erase_says_what_it_did_and_is_complete(flywheel: Run, ready: Path) -> None:
    correct(flywheel, ready)
    told = flywheel("erase", "--user", EDIT["user"], "--yes").out
    assert told.startswith("erased: 1 act of feedback; 4 sentences found nowhere in ")
    assert "was erased at" in flywheel("trace", "a").err
    data = flywheel("erase", "--user", EDIT["user"], "--yes", "--json").data
    assert (data["feedback"], data["pieces"], data["champion"]) == (0, 0, 1)


def test_erased_source_is_listed_with_the_version_that_held_it(flywheel: Run, ready: Path) -> None:
    data = flywheel("erase", "--source", "../documents/doors.md", "--yes", "--json").data
    assert (data["documents"], data["versions"], data["version"]) == (1, [1], 2)
    assert "erased: never" in flywheel("versions").out
    ended = flywheel("versions", "promote", "1")
    assert ended.code == 2 and "serves never again" in ended.err


@pytest.mark.parametrize("arguments", [(), ("--user", "a", "--source", "b"), ("--user", "")])
def test_erase_names_exactly_one_target(
    flywheel: Run, ready: Path, arguments: tuple[str, ...]
) -> None:
    ended = flywheel("erase", *arguments, "--yes")
    assert ended.code == 2
    assert "exactly one of" in ended.err or "An empty name" in ended.err


def test_erase_asks_before_it_begins(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(flywheel, ready)
    ended = flywheel("erase", "--user", EDIT["user"])
    assert ended.code == 2 and "add --yes" in ended.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "n")
    ended = flywheel("erase", "--user", EDIT["user"])
    assert ended.code == 1 and "1 act of feedback" in ended.err
    assert flywheel("ask", QUESTION, "--json").data["verified"]
