"""What waits for a curator: what is in the queue, in which order, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.wheel.reviewing import (
    INES,
    NARROW,
    OLAF,
    burst,
    correct,
    draw,
    flag,
    item,
    listed,
    put_asked,
    rule,
    suggest,
)

from flywheel.store import interactions
from flywheel.wheel import sight
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.keys import Caller
from flywheel.wheel.review import queue as review_queue
from flywheel.wheel.review import waiting as review_waiting
from flywheel.wheel.review.queue import queue, queue_without
from flywheel.wheel.review.sight import readable
from flywheel.wheel.review.waiting import KINDS

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace


@pytest.fixture
def workspace(blank: Domain) -> Workspace:
    return blank.workspace


def test_nothing_waits_in_a_blank_workspace(workspace: Workspace) -> None:
    found = queue(workspace, INES)
    assert found.items == ()
    assert found.counts == dict.fromkeys(KINDS, 0)


def test_every_kind_waits_in_one_queue(workspace: Workspace) -> None:
    put_asked(workspace, "i1", "Where is the jack?")
    put_asked(workspace, "i2", "千斤顶在哪里？", "answer", 0.4)
    flag(workspace, "f", put_asked(workspace, "i3", "How hot may it get?", "answer", 0.9))
    draw(workspace, "x", "Is there a spare wheel?", put_asked(workspace, "i4", "Spare wheel?"))
    suggest(workspace, "s", "When is the service due?", "Each year.")
    for user in ("ines", "olaf"):
        correct(workspace, f"d-{user}", "多久保养一次？", f"{user}说。", user)
    burst(workspace, "mallory")
    counts = queue(workspace, INES).counts
    assert counts == dict.fromkeys(KINDS, 1) | {"evidence": 0, "abstained": 2}


def test_what_teaches_most_comes_first(workspace: Workspace) -> None:
    put_asked(workspace, "once", "Where is the jack?")
    for number in range(5):
        put_asked(workspace, f"often{number}", "Where is the fuse?", second=number)
    put_asked(workspace, "sure", "Where is the horn?", "answer", 0.65)
    put_asked(workspace, "unsure", "Where is the key?", "answer", 0.5)
    put_asked(workspace, "known", "Where is the door?", "answer", 0.95)
    for user in ("ines", "olaf"):
        correct(workspace, user, "Where is the lamp?", f"{user} says.", user)
    assert listed(workspace) == [
        ("abstained", "often4"),
        ("disputed", "ines"),
        ("abstained", "once"),
        ("unsure", "unsure"),
        ("unsure", "sure"),
    ]


def test_other_spellings_of_a_question_are_one_item_with_its_count(workspace: Workspace) -> None:
    put_asked(workspace, "a", "Where is the jack?")
    put_asked(workspace, "b", "where is the jack", user="bo", second=1)
    assert listed(workspace) == [("abstained", "b")]
    assert item(workspace, "abstained").num_asked == 2


def test_question_that_is_corrected_waits_no_more(workspace: Workspace) -> None:
    put_asked(workspace, "a", "Where is the jack?")
    correct(workspace, "c", "Where is the jack?", "In the boot.", "ines")
    assert listed(workspace) == []


def test_suggestions_to_one_question_are_one_item(workspace: Workspace) -> None:
    put_asked(workspace, "a", "Where is the jack?")
    suggest(workspace, "s1", "Where is the jack?", "In the boot.")
    suggest(workspace, "s2", "Where is the jack?", "Under the seat.", user="bo")
    assert listed(workspace) == [("suggested", "s1")]


def test_held_out_questions_are_left_out_and_counted(workspace: Workspace) -> None:
    question = "Where does the child lock of the left rear door sit?"
    near = "Where does the child lock of the rear door sit?"
    asked = put_asked(workspace, "a", question)
    put_asked(workspace, "b", near, "answer", 0.3)
    draw(workspace, "x", question, asked)
    assert listed(workspace) == [("exam", "x")]
    assert queue(workspace, INES).num_held_out == 2


def test_drawn_questions_come_as_they_were_asked_whatever_the_champion_says(
    workspace: Workspace,
) -> None:
    sure = put_asked(workspace, "a", "Is there a jack?", "answer", 0.99)
    draw(workspace, "x1", "Is there a jack?", sure)
    draw(workspace, "x2", "Is there a fuse?", put_asked(workspace, "b", "Is there a fuse?"))
    kinds = [each for each in queue(workspace, INES).items if each.kind == "exam"]
    assert [each.id for each in kinds] == ["x1", "x2"]
    assert kinds[0].score == kinds[1].score


def test_flags_on_one_answer_are_one_item(workspace: Workspace) -> None:
    asked = put_asked(workspace, "a", "Where is the jack?", "answer", 0.9)
    flag(workspace, "f1", asked)
    flag(workspace, "f2", asked, user="eve")
    assert listed(workspace) == [("flagged", "a")]


def test_narrow_curator_sees_only_what_he_may_read(domain: Domain) -> None:
    workspace = domain.workspace
    domain.add(
        domain.write("staff/pay.md", "# Pay\n\nZorkmids are paid at noon."), access=["staff"]
    )
    domain.turn()
    asked = [
        workspace.ask("When are zorkmids paid?", user="ada").interaction,
        workspace.ask("Where is the child lock?", user="ada").interaction,
    ]
    for number, id in enumerate(asked):
        flag(workspace, f"f{number}", id)
    put_asked(workspace, "bare", "What shows no passage?")
    suggest(workspace, "s", "When are zorkmids paid?", "Zorkmids are paid at noon.")
    narrow = listed(workspace, NARROW)
    assert ("flagged", asked[1]) in narrow
    assert ("flagged", asked[0]) not in narrow
    assert ("abstained", "bare") not in narrow
    assert {("flagged", id) for id in asked} <= set(listed(workspace))
    assert all(each.num_asked == 0 for each in queue(workspace, NARROW).items)


def test_many_interactions_are_seen_as_each_of_them_is(domain: Domain) -> None:
    workspace = domain.workspace
    ids = [
        workspace.ask("Where is the child lock?", user="ada").interaction,
        workspace.ask("Where is the child lock?", user="nora").interaction,
        put_asked(workspace, "bare", "What is this?"),
        put_asked(workspace, "own", "What is this?", user="nora"),
    ]
    accept(workspace, [])
    correct(workspace, "c", "What is a wallbox?", "A box on a wall.", "ines")
    ids.append(workspace.ask("What is a wallbox?", user="ada").interaction)
    callers = [INES, NARROW, Caller(key="k", name="x", role="curator", access=("staff",))]
    with workspace.database.read() as conn:
        for caller in callers:
            one_by_one = {id for id in ids if sight.interaction(workspace, id, caller)}
            assert readable(conn, [*ids, "gone"], caller) == one_by_one
        assert interactions.get(conn, "gone") is None


def test_queue_after_a_decision_is_the_one_of_a_moment_ago_without_the_item(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ("a", "b"):
        put_asked(workspace, id, f"Where is part {id}?")
    before = queue(workspace, INES).items
    put_asked(workspace, "c", "Where is part c?")
    after = queue_without(workspace, INES, before[0].name)
    assert after.items == before[1:]
    assert queue_without(workspace, INES, before[1].name).items == ()
    assert len(queue(workspace, INES).items) == 3
    monkeypatch.setattr(review_queue, "MOMENT_SECONDS", -1.0)
    assert len(queue_without(workspace, INES, before[0].name).items) == 3


def test_what_others_ask_waits_a_moment_what_anybody_decides_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(review_queue, "_clock", lambda: now)
    put_asked(workspace, "a", "Where is the jack?")
    put_asked(workspace, "b", "Where is the fuse?", second=1)
    assert len(listed(workspace)) == 2
    put_asked(workspace, "c", "Where is the horn?", second=2)
    assert len(listed(workspace)) == 2, "read a moment ago"
    now += review_queue.STANDS_SECONDS + 1
    assert len(listed(workspace)) == 3
    rule(workspace, "abstained", "a", "dismissed", caller=OLAF)
    assert ("abstained", "a") not in listed(workspace), "another's decision shows at once"
    suggest(workspace, "s", "Where is the fuse?", "In the boot.")
    assert ("suggested", "s") in listed(workspace), "a correction shows at once"
    erase(workspace, "user", "ada")
    assert listed(workspace) == [], "what is erased goes at once"


def test_narrow_curator_never_sees_the_queue_of_a_moment_ago(domain: Domain) -> None:
    workspace = domain.workspace
    asked = workspace.ask("Where is the child lock?", user="ada").interaction
    flag(workspace, "f", asked)
    assert ("flagged", asked) in listed(workspace, NARROW)
    domain.add(access=["staff"])
    assert ("flagged", asked) not in listed(workspace, NARROW)


def test_whatever_was_decided_before_does_not_hide_what_still_waits(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_waiting, "MOST", 1)
    flag(workspace, "first", put_asked(workspace, "bad", "Where is the horn?", "answer", 0.9))
    for number in range(6):
        for word, kind in (("left", "abstain"), ("right", "answer"), ("rear", "answer")):
            question, id = f"Where is {word} part {number}?", f"{word}{number}"
            put_asked(workspace, id, question, kind, 0.9 if word == "rear" else 0.1)  # type: ignore[arg-type]
            put_asked(workspace, f"{id}b", question, kind, 0.9)  # type: ignore[arg-type]
            if word == "rear":
                flag(workspace, f"flag{id}", id)
    put_asked(workspace, "open", "Where is the jack?", second=1)
    put_asked(workspace, "dim", "Where is the fuse?", "answer", 0.5)
    for number in range(6):
        if number % 2:
            rule(workspace, "abstained", f"left{number}", "dismissed")
            rule(workspace, "unsure", f"right{number}", "dismissed")
        else:
            for word in ("left", "right"):
                correct(workspace, f"c{word}{number}", f"Where is {word} part {number}?", "A.", "i")
        rule(workspace, "flagged", f"rear{number}", "dismissed")
    assert sorted(listed(workspace)) == [
        ("abstained", "open"),
        ("flagged", "bad"),
        ("unsure", "dim"),
    ]
