"""Feedback at the border: completed, refused with a reason, turned into corrections, settled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel.errors import FeedbackError
from flywheel.learn.feedback import (
    DISPUTED,
    UNFOUND,
    Evidence,
    complete,
    content_of,
    normal_form,
    settle,
    shared_access,
    to_correction,
)
from flywheel.records import Answer, Correction, Feedback, Interaction

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOWN = Answer(
    question="Where is the child lock?",
    answer="On the door.",
    draft="On the door.",
    kind="answer",
    confidence=0.5,
    citations=(),
    passages=(),
)
INTERACTION = Interaction(
    id="i1",
    question="Where is the child lock?",
    candidates=(SHOWN, replace(SHOWN, answer="", draft="In the boot.")),
    version=1,
    user="u",
    at="2026-01-01",
)


def act(**values: Any) -> Feedback:
    defaults: dict[str, Any] = {
        "id": "f1",
        "kind": "edit",
        "user": "ines",
        "role": "curator",
        "at": "",
        "question": "Where is it?",
        "answer": "Here.",
    }
    return Feedback(**{**defaults, **values})


def correction(id: str, user: str, answer: str, **values: Any) -> Correction:
    made = to_correction(act(id=id, user=user, answer=answer), Evidence(), None)
    return replace(made, **values)


def refusal(shown: Interaction | None = None, **values: Any) -> str:
    with pytest.raises(FeedbackError) as raised:
        complete(act(**values), shown, NOW)
    assert raised.value.id == "f1"
    return raised.value.problem


def test_act_without_a_time_is_of_now() -> None:
    assert complete(act(), None, NOW).at == "2026-03-01T12:00:00.000+00:00"


@pytest.mark.parametrize("at", ["2026-01-12T10:50:00+01:00", "2026-01-12T09:50:00Z"])
def test_times_are_kept_in_one_zone(at: str) -> None:
    assert complete(act(at=at), None, NOW).at == "2026-01-12T09:50:00.000+00:00"


def test_id_follows_from_the_content() -> None:
    first, again = (complete(act(id=""), None, NOW).id for _ in range(2))
    assert first == again != complete(act(id="", answer="There."), None, NOW).id
    assert first != complete(act(id="", user="tom"), None, NOW).id
    assert first == complete(act(id="", role="asker"), None, NOW).id


def test_time_is_no_part_of_the_content_and_the_role_is() -> None:
    assert content_of(act()) == content_of(act(at="2026-01-12T09:50:00Z"))
    assert content_of(act()) != content_of(act(role="asker"))


def test_interaction_tells_what_was_left_out() -> None:
    down = act(kind="down", interaction="i1", question="", answer="")
    assert complete(down, INTERACTION, NOW).question == "Where is the child lock?"
    assert complete(down, INTERACTION, NOW).answer == "On the door."
    assert complete(replace(down, candidate=1), INTERACTION, NOW).answer == "In the boot."
    ranked = act(kind="rank", interaction="i1", question="", answer="", order=(1, 0))
    assert complete(ranked, INTERACTION, NOW).candidates == ("On the door.", "In the boot.")


def test_what_cannot_be_meant_is_refused() -> None:
    assert refusal(interaction="none") == 'there is no interaction "none"'
    assert refusal(question=" ?").startswith('"question" is missing or empty')
    assert refusal(answer="") == 'an edit needs the right "answer"'
    assert refusal(kind="cite") == 'a cite needs its "evidence"'
    assert refusal(evidence=("x", " . ")) == '"evidence" 2 holds no words'
    assert refusal(at="yesterday").startswith('"at" is no time: "yesterday"')
    assert "is in the future" in refusal(at="2062-01-12")
    assert "none of the 2" in refusal(INTERACTION, interaction="i1", candidate=2)
    assert "none of the 1" in refusal(candidates=("a",), candidate=1)


@pytest.mark.parametrize("order", [(), (0,), (0, 0), (1, 2), (0, 1, 2), (-1, 0)])
def test_order_that_is_no_permutation_is_refused(order: tuple[int, ...]) -> None:
    assert "is no permutation of the 2" in refusal(kind="rank", candidates=("a", "b"), order=order)


def test_only_curators_and_the_owner_verify() -> None:
    roles = ("asker", "curator", "owner")
    verified = [to_correction(act(role=role), Evidence(), None).verified for role in roles]
    assert verified == [False, True, True]


def test_evidence_that_stands_nowhere_puts_a_correction_up_for_review() -> None:
    assert to_correction(act(evidence=("x",)), Evidence(unfound=(1,)), None).review == UNFOUND
    assert to_correction(act(), Evidence(), None).review == ""


@pytest.mark.parametrize(
    ("pieces", "readable", "shared"),
    [
        ([], None, ("public",)),
        ([], [], ("public",)),
        ([], ["hr", "public"], ("hr",)),
        ([["public"]], ["hr"], ("public",)),
        ([["hr", "public"]], None, ("public",)),
        ([["hr"], ["public"]], None, ("hr",)),
        ([["hr", "law"], ["hr"]], None, ("hr",)),
        ([["hr", "law"]], ["law"], ("law",)),
        ([["hr"], ["law"]], None, ()),
    ],
)
def test_correction_is_read_by_whom_author_and_evidence_share(
    pieces: list[list[str]], readable: list[str] | None, shared: tuple[str, ...]
) -> None:
    assert shared_access(pieces, readable) == shared


def test_curators_who_contradict_each_other_are_both_disputed() -> None:
    settled = settle([correction("a", "ines", "1.5 bar"), correction("b", "tom", "15 bar")])
    assert [each.disputed for each in settled.in_force] == [True, True]
    assert {each.review for each in settled.in_force} == {DISPUTED}
    assert settled.replaced == ()


def test_same_answer_in_another_spelling_is_no_contradiction() -> None:
    settled = settle(
        [correction("a", "ines", "At 10,000 km."), correction("b", "tom", "at 10000 km")]
    )
    assert [each.disputed for each in settled.in_force] == [False, False]


def test_user_replaces_his_own_which_ends_the_dispute() -> None:
    first, second = settle(
        [correction("a", "ines", "1.5 bar"), correction("b", "tom", "15 bar")]
    ).in_force
    settled = settle([first, second, correction("c", "tom", "1.5 bar.")])
    assert settled.replaced == ("b",)
    assert [(each.id, each.disputed, each.review) for each in settled.in_force] == [
        ("a", False, ""),
        ("c", False, ""),
    ]


def test_asker_neither_disputes_nor_replaces_what_is_verified() -> None:
    suggested = correction("b", "ines", "15 bar", verified=False)
    settled = settle([correction("a", "ines", "1.5 bar"), suggested])
    assert [each.disputed for each in settled.in_force] == [False, False]
    assert settled.replaced == ()


def test_dispute_leaves_other_reasons_for_review() -> None:
    missing = correction("a", "ines", "1.5 bar", review=UNFOUND)
    settled = settle([missing, correction("b", "tom", "15 bar")])
    assert settled.in_force[0].review == f"{UNFOUND}; {DISPUTED}"
    assert settle([settled.in_force[0]]).in_force[0].review == UNFOUND


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Where's the child-lock?", "where s the child lock", True),
        ("兒童鎖 在哪裡？", "儿童锁在哪里", True),
        ("1.5 bar", "15 bar", False),
        ("-5 °C", "5 °C", False),
        ("−5 °C", "-5 °C", True),
        ("50 %", "50", False),
        ("10,000 km.", "10000 km", True),
    ],
)
def test_normal_form_keeps_what_changes_the_meaning(one: str, other: str, same: bool) -> None:
    assert (normal_form(one) == normal_form(other)) is same
