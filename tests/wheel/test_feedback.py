"""Feedback is kept once and whole, and what it corrects holds from then on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import flywheel
from flywheel.errors import FeedbackError, FileFormatError, SourceError, UsageError
from flywheel.learn.feedback import DISPUTED, UNFOUND
from flywheel.records import Correction, Feedback
from flywheel.store import corrections
from flywheel.store import feedback as feedback_store
from flywheel.wheel import evidence
from flywheel.wheel.feedback import (
    Accepted,
    accept,
    confirm,
    import_file,
    recheck,
    withdraw,
)
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual"
LOCK = "The child lock sits on the edge of each rear door."
QUESTION = "Where is the child lock?"
NUM_KILLS = 4
NUM_WRITERS = 8


@pytest.fixture(autouse=True, params=["few passages", "many passages"])
def _look_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence is found alike by reading all passages and by asking the database."""
    if request.param == "many passages":
        monkeypatch.setattr(evidence, "MIN_LOOKED_UP_IN", 0)


def act(id: str = "", **values: Any) -> Feedback:
    defaults: dict[str, Any] = {"kind": "edit", "user": "ines", "role": "curator", "at": ""}
    said = {"question": QUESTION, "answer": "On the edge of each rear door."}
    return Feedback(**{**defaults, **said, **values, "id": id})


def write_lines(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "feedback.jsonl"
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text), encoding="utf-8")
    return path


def in_force(workspace: Workspace) -> dict[str, Correction]:
    with workspace.database.read() as conn:
        return {each.id: each for each in corrections.in_force(conn)}


def kept(workspace: Workspace) -> list[Feedback]:
    with workspace.database.read() as conn:
        return list(feedback_store.list_feedback(conn))


def counts(accepted: Accepted) -> tuple[int, int, dict[str, int]]:
    return accepted.imported, accepted.known, dict(accepted.kinds)


def test_edit_is_a_correction_with_its_passages_at_once(domain: Domain) -> None:
    accepted = accept(domain.workspace, [act("a", evidence=(LOCK,))])
    assert counts(accepted) == (1, 0, {"edit": 1})
    assert accepted.notes == ()
    [correction] = in_force(domain.workspace).values()
    assert correction.verified
    assert (correction.access, correction.review) == (("public",), "")
    found = {each.id: each.text for each in domain.ask(QUESTION).passages}
    assert [LOCK in found[id] for id in correction.passages] == [True]


def test_evidence_is_found_in_another_spelling_and_across_passages(domain: Domain) -> None:
    pieces = (
        "the CHILD lock sits\non the edge",
        "儿童锁在后车门的 边缘",
        "with the key. Press the button",
    )
    accepted = accept(domain.workspace, [act("a", evidence=pieces)])
    assert len(accepted.notes) <= 1  # the third runs over a heading, where the text is not cut
    [correction] = in_force(domain.workspace).values()
    assert len(correction.passages) >= 2


def test_same_act_again_changes_nothing(domain: Domain) -> None:
    acts = [act("a"), act(answer="x"), act("b", kind="up")]
    assert counts(accept(domain.workspace, acts)) == (3, 0, {"edit": 2, "up": 1})
    before = kept(domain.workspace), in_force(domain.workspace)
    assert counts(accept(domain.workspace, acts)) == (0, 3, {})
    assert (kept(domain.workspace), in_force(domain.workspace)) == before


def test_act_that_comes_twice_at_once_counts_once(domain: Domain) -> None:
    assert counts(accept(domain.workspace, [act("a"), act("a"), act(), act()])) == (
        2,
        2,
        {"edit": 2},
    )


def test_id_of_another_act_is_refused_and_nothing_kept(domain: Domain) -> None:
    accept(domain.workspace, [act("a")])
    for other in (
        [act("a", answer="x")],
        [act("b"), act("b", answer="x")],
        [act("a", role="asker")],
    ):
        with pytest.raises(FeedbackError, match=r'"[ab]": its id is another act\'s'):
            accept(domain.workspace, [act("c"), *other])
    assert [each.id for each in kept(domain.workspace)] == ["a"]


def test_feedback_on_an_interaction_takes_its_question(domain: Domain) -> None:
    asked = domain.workspace.ask(QUESTION)
    accept(
        domain.workspace,
        [act("a", kind="up", question="", answer="", interaction=asked.interaction)],
    )
    [up] = kept(domain.workspace)
    assert up.question == QUESTION
    assert up.answer == (asked.answer.answer or asked.answer.draft)


def test_unknown_interaction_is_refused(domain: Domain) -> None:
    with pytest.raises(FeedbackError, match='"a": there is no interaction "none"'):
        accept(domain.workspace, [act("a", interaction="none")])


def test_personal_data_in_questions_and_reasons_are_masked(blank: Domain) -> None:
    accept(
        blank.workspace, [act("a", question="Is it ann@example.org?", reason="ask bob@example.org")]
    )
    [masked] = kept(blank.workspace)
    assert "example.org" not in masked.question + masked.reason


def test_contradicting_curators_are_both_disputed(domain: Domain) -> None:
    accept(domain.workspace, [act("a")])
    accepted = accept(
        domain.workspace,
        [act("b", user="tom", answer="In the boot.", question="where is the child lock")],
    )
    assert accepted.notes == (f'a, b: ines, tom contradict each other on "{QUESTION}"',)
    found = in_force(domain.workspace)
    assert [(each.disputed, each.review) for each in found.values()] == [(True, DISPUTED)] * 2


def test_curator_replaces_his_own_and_the_dispute_ends(domain: Domain) -> None:
    accept(domain.workspace, [act("a"), act("b", user="tom", answer="In the boot.")])
    accept(domain.workspace, [act("c", user="tom", at="")])
    found = in_force(domain.workspace)
    assert {id: each.disputed for id, each in found.items()} == {"a": False, "c": False}


def test_later_line_of_a_file_replaces_the_earlier_one(domain: Domain) -> None:
    accept(domain.workspace, [act("b", answer="first"), act("a", answer="second")])
    assert list(in_force(domain.workspace)) == ["a"]


def test_confirming_decides_a_dispute(domain: Domain) -> None:
    accept(domain.workspace, [act("a"), act("b", user="tom", answer="In the boot.")])
    assert not confirm(domain.workspace, "b", "eve").disputed
    assert list(in_force(domain.workspace)) == ["b"]
    with pytest.raises(UsageError, match='"a" was withdrawn: decided otherwise'):
        confirm(domain.workspace, "a", "eve")


def test_withdrawing_one_ends_the_dispute(domain: Domain) -> None:
    accept(domain.workspace, [act("a"), act("b", user="tom", answer="In the boot.")])
    withdraw(domain.workspace, "a", "eve")
    [left] = in_force(domain.workspace).values()
    assert (left.id, left.disputed, left.review) == ("b", False, "")
    with pytest.raises(UsageError, match='"none" is not there'):
        withdraw(domain.workspace, "none", "eve")


def test_asker_is_not_verified_until_confirmed(domain: Domain) -> None:
    accept(
        domain.workspace, [act("a"), act("b", user="guest", role="asker", answer="In the boot.")]
    )
    found = in_force(domain.workspace)
    assert {id: (each.verified, each.disputed) for id, each in found.items()} == {
        "a": (True, False),
        "b": (False, False),
    }
    assert confirm(domain.workspace, "b", "eve").verified
    assert list(in_force(domain.workspace)) == ["b"]


def test_evidence_in_no_document_is_kept_marked_and_listed(domain: Domain) -> None:
    accepted = accept(
        domain.workspace, [act("a", evidence=(LOCK, "No such sentence stands here."))]
    )
    assert accepted.notes == (
        'a: evidence 2 stands in no current document: "No such sentence stands here."',
    )
    [correction] = in_force(domain.workspace).values()
    assert correction.evidence[1] == "No such sentence stands here."
    assert correction.review == UNFOUND


def test_evidence_that_goes_puts_a_correction_up_for_review(domain: Domain) -> None:
    accept(domain.workspace, [act("a", evidence=(LOCK,)), act("b", question="?x", answer="y")])
    text = (domain.documents / "doors.md").read_text().replace("rear door.", "back door.")
    domain.write("doors.md", text)
    domain.add()
    assert [each.review for each in in_force(domain.workspace).values()] == [UNFOUND, ""]
    domain.write("doors.md", text.replace("back door.", "rear door."))
    domain.add()
    assert [each.review for each in in_force(domain.workspace).values()] == ["", ""]
    assert recheck(domain.workspace) == 0


def test_correction_goes_to_whom_its_evidence_goes(domain: Domain) -> None:
    accept(domain.workspace, [act("a", evidence=(LOCK,))])
    domain.add(access=["hr"])
    assert in_force(domain.workspace)["a"].access == ("hr",)


def test_author_learns_nothing_of_documents_that_are_not_his(domain: Domain) -> None:
    domain.add(access=["hr"])
    accepted = accept(domain.workspace, [act("a", evidence=(LOCK,))], labels=["law"])
    assert len(accepted.notes) == 1
    assert in_force(domain.workspace)["a"].passages == ()
    assert recheck(domain.workspace) == 0


def test_file_is_the_owners_and_its_edits_verified(domain: Domain, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path, {"kind": "edit", "question": QUESTION, "answer": "x", "user": "tom"}
    )
    assert flywheel.import_feedback(domain.workspace, path).imported == 1
    [correction] = in_force(domain.workspace).values()
    assert (correction.user, correction.role, correction.verified) == ("tom", "owner", True)


def test_untrusted_file_verifies_nothing(domain: Domain, tmp_path: Path) -> None:
    path = write_lines(tmp_path, {"kind": "edit", "question": QUESTION, "answer": "x"})
    import_file(domain.workspace, path, trusted=False)
    [correction] = in_force(domain.workspace).values()
    assert (correction.user, correction.role, correction.verified) == ("anonymous", "asker", False)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not a JSON object"),
        ({"kind": "edti", "question": "?x"}, 'unknown kind "edti"; did you mean "edit"?'),
        ({"kind": "up", "question": "x", "reasn": ""}, 'did you mean "reason"?'),
        ({"kind": "up", "interaction": "none"}, 'there is no interaction "none"'),
        ({"kind": "rank", "question": "x", "candidates": ["a"], "order": [1]}, "no permutation"),
        ({"id": "ok", "kind": "up", "question": "x"}, 'id "ok" is taken by line 1'),
        ({"kind": "up"}, '"question" is missing or empty'),
        ({"kind": "up", "question": "x", "at": "soon"}, '"at" is no time'),
    ],
)
def test_file_with_one_bad_line_is_refused_whole(
    blank: Domain, tmp_path: Path, line: dict[str, Any] | str, problem: str
) -> None:
    good = {"id": "ok", "kind": "edit", "question": QUESTION, "answer": "x"}
    path = write_lines(tmp_path, good, "", line, {**good, "id": "good"})
    with pytest.raises(FileFormatError) as raised:
        import_file(blank.workspace, path)
    assert (raised.value.path, raised.value.line) == (path, 3)
    assert problem in raised.value.problem
    assert kept(blank.workspace) == []
    assert in_force(blank.workspace) == {}


def test_file_without_feedback_is_refused(blank: Domain, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no feedback"):
        import_file(blank.workspace, write_lines(tmp_path, ""))


def test_example_is_imported_whole(blank: Domain) -> None:
    blank.add(EXAMPLE / "documents")
    accepted = import_file(blank.workspace, EXAMPLE / "feedback.jsonl")
    assert (accepted.imported, accepted.known, accepted.kinds["edit"]) == (200, 0, 140)
    assert accepted.notes == ()
    assert all(each.passages for each in in_force(blank.workspace).values())
    assert counts(import_file(blank.workspace, EXAMPLE / "feedback.jsonl")) == (0, 200, {})


WRITES_FOR_EVER = f"""
import itertools, os, sys
from flywheel.records import Feedback
from flywheel.wheel.feedback import accept
from flywheel.wheel.workspace import Workspace

def write(writer):
    workspace = Workspace.open(sys.argv[1])
    for number in itertools.count():
        id = f"{{sys.argv[2]}}-{{writer}}-{{number}}"
        act = Feedback(id=id, kind="edit", user=f"u{{writer}}", role="curator", at="",
                       question=f"what is {{number % 5}}?", answer=id)
        accept(workspace, [act, act])
        print(id + "\\n", end="", flush=True)

for writer in range({NUM_WRITERS}):
    if os.fork() == 0:
        write(writer)
os.wait()
"""


def write_until_killed(root: Path, name: str, num_lines: int) -> list[str]:
    """The ids that were acknowledged before all writers were killed, amid whatever they did then.

    They are processes, each with the workspace open, forked of one that is named.
    """
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(root), name]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with started as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(num_lines)]
        os.killpg(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
    return [line.strip() for line in lines if line.endswith("\n") and line.strip()]


@pytest.fixture(params=["sqlite", "postgresql"])
def durable(request: pytest.FixtureRequest, blank: Domain) -> Iterator[Domain]:
    """A workspace on each kind of database."""
    if request.param == "postgresql":
        make_database: Callable[[], str] = request.getfixturevalue("make_database")
        blank.configure(f'[store]\nurl = "{make_database()}"\n')
    yield blank


def test_what_was_acknowledged_outlives_kill_9(durable: Domain) -> None:
    acknowledged: list[str] = []
    for kill in range(NUM_KILLS):
        acknowledged += write_until_killed(durable.root, str(kill), random.randint(1, 60))
        acts = kept(durable.workspace)
        ids = [each.id for each in acts]
        assert len(ids) == len(set(ids))
        assert set(acknowledged) <= set(ids)
        with durable.workspace.database.read() as conn:
            made = corrections.changed_since(conn, 0)
        assert sorted(each.correction.id for each in made) == sorted(ids)
    latest = in_force(durable.workspace)
    assert len(latest) == len({(each.user, each.question) for each in latest.values()})
    again = [act for act in kept(durable.workspace) if act.id in acknowledged]
    assert counts(accept(durable.workspace, again)) == (0, len(again), {})
