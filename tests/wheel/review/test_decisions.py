"""What deciding does, how it is taken back, and that nobody overwrites what he has not seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.wheel.reviewing import (
    INES,
    NARROW,
    OLAF,
    burst,
    case,
    correct,
    draw,
    flag,
    listed,
    put_asked,
    rule,
    suggest,
)

from flywheel.errors import FeedbackError, UsageError
from flywheel.learn.feedback import retracted
from flywheel.records import Correction, Feedback
from flywheel.store import corrections, exam_items, reviews
from flywheel.store import feedback as feedback_store
from flywheel.store import quarantine as quarantine_store
from flywheel.wheel import feedback, growth, keys, quarantine
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.review import decisions as review_decisions
from flywheel.wheel.review.decisions import Decision, Done, Overtaken, Ruling, decide
from flywheel.wheel.review.queue import queue
from flywheel.wheel.review.undo import undo
from flywheel.wheel.review.waiting import ItemKind

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

QUESTION = "Where is the child lock?"
EVIDENCE = "The child lock sits on the edge of each rear door."


@pytest.fixture
def workspace(blank: Domain) -> Workspace:
    return blank.workspace


def in_force(workspace: Workspace) -> dict[str, Correction]:
    with workspace.database.read() as conn:
        return {each.answer: each for each in corrections.in_force(conn)}


def actions(workspace: Workspace) -> list[tuple[str, str, str]]:
    return [(act.user, act.action, act.target) for act in keys.acts(workspace.database)]


def test_confirmed_answer_is_served_to_the_next_asker(domain: Domain) -> None:
    put_asked(domain.workspace, "a", QUESTION)
    done = rule(domain.workspace, "abstained", "a", "confirmed", "On the edge.", [EVIDENCE])
    answer = domain.ask(QUESTION)
    assert (answer.answer, answer.verified) == ("On the edge.", True)
    assert answer.citations[0].quote == EVIDENCE
    assert listed(domain.workspace) == []
    assert ("ines", "review.confirmed", "a") in actions(domain.workspace)
    assert ("ines", "corrections.add", done.made) in actions(domain.workspace)


def test_confirmed_suggestion_serves_all_and_the_others_are_withdrawn(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    suggest(workspace, "s2", QUESTION, "Under the seat.", user="bo")
    rule(workspace, "suggested", "s1", "confirmed", chosen="s1")
    assert in_force(workspace).keys() == {"On the edge."}
    assert in_force(workspace)["On the edge."].verified
    assert listed(workspace) == []
    assert ("ines", "corrections.confirm", "s1") in actions(workspace)
    assert ("ines", "corrections.withdraw", "s2") in actions(workspace)


def test_only_suggestion_need_not_be_chosen(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    rule(workspace, "suggested", "s1", "confirmed")
    assert in_force(workspace)["On the edge."].verified


def test_dispute_ends_with_the_side_that_is_chosen(workspace: Workspace) -> None:
    for user in ("ines", "olaf"):
        correct(workspace, user, QUESTION, f"{user} says.", user)
    assert {each.answer for each in case(workspace, "disputed", "ines").sides} == {
        "ines says.",
        "olaf says.",
    }
    with pytest.raises(UsageError, match="Choose one"):
        rule(workspace, "disputed", "ines", "confirmed")
    rule(workspace, "disputed", "ines", "confirmed", chosen="olaf", caller=NARROW)
    (left,) = in_force(workspace).values()
    assert (left.answer, left.disputed, left.review) == ("olaf says.", False, "")


def test_edited_suggestion_is_the_curators_own_correction(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the egde.")
    rule(workspace, "suggested", "s1", "edited", "On the edge.")
    (left,) = in_force(workspace).values()
    assert (left.answer, left.user, left.verified) == ("On the edge.", "ines", True)


def test_withdrawn_suggestion_serves_nobody(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the moon.")
    rule(workspace, "suggested", "s1", "withdrawn")
    assert in_force(workspace) == {}
    assert listed(workspace) == []


def test_one_side_of_a_dispute_is_withdrawn_and_the_other_serves(workspace: Workspace) -> None:
    for user in ("ines", "olaf"):
        correct(workspace, user, QUESTION, f"{user} says.", user)
    rule(workspace, "disputed", "ines", "withdrawn", chosen="ines")
    (left,) = in_force(workspace).values()
    assert (left.answer, left.disputed) == ("olaf says.", False)


def test_question_that_nothing_answers_waits_no_more(workspace: Workspace) -> None:
    put_asked(workspace, "a", QUESTION)
    rule(workspace, "abstained", "a", "unanswerable")
    put_asked(workspace, "b", QUESTION.upper(), second=1)
    assert listed(workspace) == []
    assert in_force(workspace) == {}


def test_answer_that_should_not_have_been_given_is_judged_wrong(workspace: Workspace) -> None:
    put_asked(workspace, "a", QUESTION, "answer", 0.3)
    rule(workspace, "unsure", "a", "unanswerable")
    with workspace.database.read() as conn:
        (act,) = feedback_store.of_interaction(conn, "a")
    assert (act.kind, act.user, act.role) == ("down", "ines", "curator")
    assert listed(workspace) == []


def test_dismissed_flag_waits_again_with_the_next_one(workspace: Workspace) -> None:
    asked = put_asked(workspace, "a", QUESTION, "answer", 0.9)
    flag(workspace, "f1", asked)
    rule(workspace, "flagged", asked, "dismissed")
    assert listed(workspace) == []
    flag(workspace, "f2", asked, user="eve")
    assert listed(workspace) == [("flagged", asked)]


def test_flagged_answer_is_corrected(workspace: Workspace) -> None:
    asked = put_asked(workspace, "a", QUESTION, "answer", 0.9)
    flag(workspace, "f1", asked)
    rule(workspace, "flagged", asked, "confirmed", "On the edge.")
    assert in_force(workspace)["On the edge."].verified
    assert listed(workspace) == []


def test_drawn_question_gets_gold_and_never_a_correction(domain: Domain) -> None:
    workspace = domain.workspace
    draw(workspace, "x", QUESTION, put_asked(workspace, "a", QUESTION))
    rule(workspace, "exam", "x", "confirmed", "On the edge.", [EVIDENCE])
    with workspace.database.read() as conn:
        (gold,) = growth.grown(conn)
    assert (gold.answer, gold.evidence) == ("On the edge.", (EVIDENCE,))
    assert in_force(workspace) == {}
    assert not domain.ask(QUESTION).verified
    assert listed(workspace) == []
    assert ("ines", "exam.gold", "x") in actions(workspace)


def test_drawn_question_is_unanswerable_or_dropped(workspace: Workspace) -> None:
    decisions: dict[str, Decision] = {"x1": "unanswerable", "x2": "dropped"}
    for id, decision in decisions.items():
        draw(workspace, id, f"{QUESTION} {id}", put_asked(workspace, f"a{id}", f"{QUESTION} {id}"))
        rule(workspace, "exam", id, decision)
    with workspace.database.read() as conn:
        states = {each.id: (each.state, each.answerable) for each in exam_items.list_items(conn)}
    assert states == {"x1": ("gold", False), "x2": ("dropped", True)}


def test_burst_is_released_or_rejected_as_a_whole(workspace: Workspace) -> None:
    mallory, bo = burst(workspace, "mallory"), burst(workspace, "bo", 30)
    rule(workspace, "quarantine", mallory[0], "rejected")
    rule(workspace, "quarantine", bo[0], "released")
    decided = {each.act.id: each.decision for each in quarantine.quarantined(workspace)}
    assert decided == dict.fromkeys(mallory, "rejected") | dict.fromkeys(bo, "released")
    assert listed(workspace) == []
    assert ("ines", "review.rejected", mallory[0]) in actions(workspace)


def test_what_cannot_be_meant_changes_nothing(domain: Domain) -> None:
    workspace = domain.workspace
    put_asked(workspace, "a", QUESTION)
    with pytest.raises(UsageError, match="Write the answer"):
        rule(workspace, "abstained", "a", "confirmed", " … ")
    with pytest.raises(FeedbackError, match="holds no words"):
        rule(workspace, "abstained", "a", "confirmed", "On the edge.", ["…"])
    with pytest.raises(UsageError, match="cannot be decided"):
        rule(workspace, "abstained", "a", "released")
    assert listed(workspace) == [("abstained", "a")]
    with workspace.database.read() as conn:
        assert list(reviews.of_kinds(conn, ["abstained"])) == []


# Two curators on one item.


def test_second_curator_is_told_what_the_first_decided(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    seen = case(workspace, "suggested", "s1", OLAF).seen
    rule(workspace, "suggested", "s1", "confirmed")
    with pytest.raises(Overtaken) as caught:
        rule(workspace, "suggested", "s1", "withdrawn", caller=OLAF, seen=seen)
    now = caught.value.case
    assert now is not None
    assert now.decided is not None
    assert (now.decided.user, now.decided.decision) == ("ines", "confirmed")
    assert now.entries[0].correction.verified
    assert in_force(workspace)["On the edge."].verified


def test_decision_elsewhere_is_noticed_too(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    seen = case(workspace, "suggested", "s1").seen
    feedback.withdraw(workspace, "s1", by=OLAF)
    with pytest.raises(Overtaken):
        rule(workspace, "suggested", "s1", "confirmed", seen=seen)
    assert in_force(workspace) == {}


def test_suggestion_that_came_meanwhile_is_not_decided_on_unseen(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    seen = case(workspace, "suggested", "s1").seen
    suggest(workspace, "s2", QUESTION, "Under the seat.", user="bo")
    with pytest.raises(Overtaken):
        rule(workspace, "suggested", "s1", "confirmed", seen=seen, chosen="s1")
    assert len(in_force(workspace)) == 2


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", ["suggested", "abstained", "exam", "quarantine"])
def test_of_two_curators_at_once_one_decides(
    blank: Domain, url: str, kind: str, request: pytest.FixtureRequest
) -> None:
    if url == "postgresql":
        make_database: Callable[[], str] = request.getfixturevalue("make_database")
        blank.configure(f'[store]\nurl = "{make_database()}"\n')
    workspace = blank.workspace
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def race(act: Callable[[str], Done], decision: str) -> None:
        start.wait()
        try:
            outcomes.append(act(decision).review.user)
        except Overtaken:
            outcomes.append("overtaken")

    id = {
        "suggested": lambda: suggest(workspace, "s", QUESTION, "On the edge."),
        "abstained": lambda: put_asked(workspace, "a", QUESTION),
        "exam": lambda: draw(workspace, "x", QUESTION, put_asked(workspace, "a", QUESTION)),
        "quarantine": lambda: burst(workspace, "mallory")[0],
    }[kind]()
    callers = {"ines": INES, "olaf": OLAF}
    seen = case(workspace, kind, id).seen  # type: ignore[arg-type]
    answers = {"ines": ("released", "") if kind == "quarantine" else ("confirmed", "Ines says.")}
    answers["olaf"] = ("rejected", "") if kind == "quarantine" else ("confirmed", "Olaf says.")

    def act(name: str) -> Done:
        decision, answer = answers[name]
        return rule(workspace, kind, id, decision, answer, caller=callers[name], seen=seen)  # type: ignore[arg-type]

    threads = [threading.Thread(target=race, args=(act, name)) for name in callers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes, key=lambda each: each == "overtaken")[1] == "overtaken"
    (winner,) = {*outcomes} - {"overtaken"}
    now = case(workspace, kind, id)  # type: ignore[arg-type]
    assert now.decided is not None
    assert now.decided.user == winner
    assert len(in_force(workspace)) == (kind in ("suggested", "abstained"))


# Taking back.


def test_flag_that_a_clock_ahead_has_dated_waits_no_more_once_decided(
    workspace: Workspace,
) -> None:
    asked = put_asked(workspace, "a", QUESTION, "answer", 0.9)
    ahead = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    act = Feedback(id="f", kind="flag", user="bo", role="asker", at=ahead, interaction=asked)
    feedback.accept(workspace, [act])
    rule(workspace, "flagged", asked, "dismissed")
    assert listed(workspace) == []


def test_confirmation_is_taken_back(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    suggest(workspace, "s2", QUESTION, "Under the seat.", user="bo")
    before = in_force(workspace)
    undo(workspace, rule(workspace, "suggested", "s1", "confirmed", chosen="s2"), INES)
    assert in_force(workspace) == before
    assert listed(workspace) == [("suggested", "s1")]
    assert ("ines", "review.undo", "s1") in actions(workspace)


def test_answer_is_taken_back_and_serves_no_more(domain: Domain) -> None:
    workspace = domain.workspace
    put_asked(workspace, "a", QUESTION)
    undo(workspace, rule(workspace, "abstained", "a", "confirmed", "On the edge."), INES)
    assert not domain.ask(QUESTION).verified
    assert listed(workspace) == [("abstained", "a")]


def test_every_other_decision_is_taken_back(workspace: Workspace) -> None:
    put_asked(workspace, "a", f"{QUESTION} a", "answer", 0.4)
    put_asked(workspace, "b", f"{QUESTION} b")
    draw(workspace, "x", f"{QUESTION} x", put_asked(workspace, "c", f"{QUESTION} x"))
    held = burst(workspace, "mallory")
    before = listed(workspace)
    for done in (
        rule(workspace, "unsure", "a", "unanswerable"),
        rule(workspace, "abstained", "b", "dismissed"),
        rule(workspace, "exam", "x", "dropped"),
        rule(workspace, "quarantine", held[0], "released"),
    ):
        undo(workspace, done, INES)
    assert listed(workspace) == before
    assert queue(workspace, INES).counts["quarantine"] == 1


def test_what_somebody_went_on_from_is_not_taken_back(workspace: Workspace) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    done = rule(workspace, "suggested", "s1", "confirmed")
    feedback.withdraw(workspace, "s1", by=OLAF)
    with pytest.raises(Overtaken):
        undo(workspace, done, INES)
    assert in_force(workspace) == {}


def again(
    workspace: Workspace, kind: ItemKind, id: str, decision: Decision, answer: str = ""
) -> Done:
    """Olaf's decision on what he sees that another has decided."""
    seen = case(workspace, kind, id, OLAF).seen
    ruling = Ruling(decision=decision, seen=seen, again=True, answer=answer)
    return decide(workspace, kind, id, ruling, OLAF)


def test_gold_of_another_comes_back_when_the_one_in_its_place_is_taken_back(
    workspace: Workspace,
) -> None:
    draw(workspace, "x", QUESTION, put_asked(workspace, "a", QUESTION))
    rule(workspace, "exam", "x", "confirmed", "On the edge.")
    undo(workspace, again(workspace, "exam", "x", "unanswerable"), OLAF)
    with workspace.database.read() as conn:
        item = exam_items.get(conn, "x")
    assert item
    assert (item.state, item.answer, item.answerable, item.decided_by) == (
        "gold", "On the edge.", True, "ines",
    )  # fmt: skip


def test_burst_is_decided_on_otherwise_and_that_is_taken_back(workspace: Workspace) -> None:
    held = burst(workspace, "mallory")
    rule(workspace, "quarantine", held[0], "rejected")
    with workspace.database.read() as conn:
        before = quarantine_store.of_acts(conn, held)
    done = again(workspace, "quarantine", held[0], "released")
    with workspace.database.read() as conn:
        released = quarantine_store.of_acts(conn, held)
    assert {(each.decision, each.decided_by) for each in released} == {("released", "olaf")}
    assert len(released) == len(held)
    undo(workspace, done, OLAF)
    with workspace.database.read() as conn:
        assert quarantine_store.of_acts(conn, held) == before


def test_two_who_decide_on_a_burst_again_do_not_overwrite_each_other(workspace: Workspace) -> None:
    held = burst(workspace, "mallory")
    rule(workspace, "quarantine", held[0], "rejected")
    seen = case(workspace, "quarantine", held[0]).seen
    again(workspace, "quarantine", held[0], "released")
    late = Ruling(decision="rejected", seen=seen, again=True)
    with pytest.raises(Overtaken):
        decide(workspace, "quarantine", held[0], late, INES)


def test_what_a_curator_said_of_an_answer_before_stands_again(workspace: Workspace) -> None:
    asked = put_asked(workspace, "a", QUESTION, "answer", 0.3)
    liked = Feedback(
        id="up", kind="up", user="ines", role="curator", at="", interaction=asked, candidate=0
    )
    feedback.accept(workspace, [liked])
    undo(workspace, rule(workspace, "unsure", "a", "unanswerable"), INES)
    with workspace.database.read() as conn:
        acts = feedback_store.of_interaction(conn, asked)
    assert [act.kind for act in acts] == ["up", "down", "up"]
    assert retracted(acts) == set()


def test_what_was_erased_does_not_come_back_with_a_decision_that_is_taken_back(
    workspace: Workspace,
) -> None:
    draw(workspace, "x", QUESTION, put_asked(workspace, "a", QUESTION))
    rule(workspace, "exam", "x", "confirmed", "On the edge.")
    done = again(workspace, "exam", "x", "dropped")
    erase(workspace, "user", "ines")
    with pytest.raises(Overtaken):
        undo(workspace, done, OLAF)
    with workspace.database.read() as conn:
        item = exam_items.get(conn, "x")
    assert item
    assert (item.answer, item.state) == ("", "dropped")


def test_what_somebody_decided_right_after_is_not_taken_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggest(workspace, "s1", QUESTION, "On the edge.")
    done = review_decisions._Write.done

    def later(write: review_decisions._Write) -> Done:
        feedback.withdraw(workspace, "s1", by=OLAF)
        return done(write)

    monkeypatch.setattr(review_decisions._Write, "done", later)
    decided = rule(workspace, "suggested", "s1", "confirmed")
    with pytest.raises(Overtaken):
        undo(workspace, decided, INES)
    assert in_force(workspace) == {}
