"""What the ledger teaches in a real workspace: what is located, what waits, and who decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from flywheel.errors import UsageError
from flywheel.learn.feedback import DISPUTED, UNFOUND
from flywheel.learn.lessons import NO_EVIDENCE
from flywheel.learn.objections import ERASED, OVER_CAP, QUARANTINED, REJECTED
from flywheel.learn.preferences import Learned
from flywheel.records import Example, Feedback, QuarantineDecision
from flywheel.store.tables import feedback as table
from flywheel.wheel import learning, lineage, stages
from flywheel.wheel.feedback import accept, confirm
from flywheel.wheel.health import health
from flywheel.wheel.lineage import TracedFeedback
from flywheel.wheel.quarantine import decide, quarantined
from flywheel.wheel.review.corrections import SUGGESTED, waiting

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "The child lock sits on the edge of each rear door. Turn it with the key."
PRESS = "Press the button with the crossed window to block the rear windows."
CHINESE = "儿童锁在后车门的边缘。用钥匙转动它即可锁上。"
QUESTION = "How do I keep the kids from opening it?"
START = datetime(2026, 1, 5, tzinfo=UTC)


def act(id: str, kind: str = "up", **values: Any) -> Feedback:
    said: dict[str, Any] = {"user": "ines", "role": "curator", "at": "", "question": QUESTION}
    return Feedback(**{**said, **values, "id": id, "kind": kind})


def taught(domain: Domain, *acts: Feedback) -> Learned:
    accept(domain.workspace, acts)
    return learning.learned(domain.workspace)


def only(learned: Learned) -> Example:
    assert learned.left_out == ()
    (example,) = learned.examples
    return example


def texts(domain: Domain, *ids: str) -> str:
    index = domain.workspace.assistant(domain.workspace.champion()).index
    return "\n".join(each.text for each in index.fetch(ids))


def test_answer_that_stands_in_the_documents_is_evidence(domain: Domain) -> None:
    example = only(taught(domain, act("a", answer=f"As the manual says:\n{LOCK}")))
    assert LOCK in texts(domain, *example.passages)
    assert PRESS not in texts(domain, *example.passages)


def test_chinese_answer_is_located_too(domain: Domain) -> None:
    learned = taught(domain, act("a", "down", question="怎么锁？", answer=CHINESE))
    assert CHINESE in texts(domain, *only(learned).rejected)


def test_answer_in_other_words_counts_in_health_alone(domain: Domain) -> None:
    learned = taught(
        domain, act("a", answer="You can find it at the back."), act("b", answer="No.")
    )
    assert [each.reason for each in learned.left_out] == [NO_EVIDENCE] * 2
    assert health(domain.workspace).num_acts == 2


def test_judgement_of_an_interaction_is_of_what_it_cited(domain: Domain) -> None:
    asked = domain.workspace.ask("Where does the child lock sit, on which edge of the rear door?")
    assert asked.answer.kind == "answer"
    example = only(taught(domain, act("a", "up", question="", interaction=asked.interaction)))
    assert set(example.passages) == {each.passage for each in asked.answer.citations}
    assert example.question == asked.answer.question


def test_liked_silence_is_no_liked_passage(domain: Domain) -> None:
    asked = domain.workspace.ask("Which colour can I order?")
    assert asked.answer.kind != "answer"
    learned = taught(domain, act("a", "up", question="", interaction=asked.interaction))
    assert [each.reason for each in learned.left_out] == [NO_EVIDENCE]


def test_cite_from_a_shown_list_is_corrected_for_its_place(domain: Domain) -> None:
    asked = domain.workspace.ask("Where does the child lock sit?")
    first = asked.answer.passages[0]
    values = {"evidence": (first.text,), "interaction": asked.interaction}
    assert only(taught(domain, act("a", "cite", **values))).weight == pytest.approx(0.2)


def test_edit_over_a_shown_answer_is_a_preference(domain: Domain) -> None:
    asked = domain.workspace.ask("Where does the child lock sit, on which edge of the rear door?")
    edit = act("a", "edit", answer="At the back.", evidence=(PRESS,), interaction=asked.interaction)
    learned = taught(domain, edit)
    (pair,) = learned.preferences
    assert (pair.chosen, pair.rejected) == ("At the back.", asked.answer.answer)
    assert LOCK in texts(domain, *only(learned).rejected)


def test_ranked_answers_are_located_each(domain: Domain) -> None:
    learned = taught(domain, act("a", "rank", candidates=(LOCK, PRESS), order=(1, 0)))
    example = only(learned)
    assert PRESS in texts(domain, *example.passages)
    assert LOCK in texts(domain, *example.rejected)
    assert [(each.chosen, each.rejected) for each in learned.preferences] == [(PRESS, LOCK)]


def test_what_is_learned_is_read_by_whom_its_evidence_is(domain: Domain) -> None:
    domain.add(access=["hr"])
    assert only(taught(domain, act("a", "cite", evidence=(LOCK,)))).access == ("hr",)


def test_digest_is_the_same_however_acts_came_in(domain: Domain) -> None:
    values = {"at": "2026-01-01T00:00:00Z", "evidence": (LOCK,)}
    acts = [act(id, "cite", question=f"lock {id}?", **values) for id in "abcd"]
    accept(domain.workspace, acts)
    before = stages.learnable(domain.workspace, []).digest
    unlearned = [act(f"n{n}", question=f"q{n}", answer="nowhere") for n in range(3)]
    accept(domain.workspace, unlearned)
    assert stages.learnable(domain.workspace, []).digest == before


def burst(user: str = "mallory", number: int = 30) -> list[Feedback]:
    return [
        act(
            f"{user}-{n}",
            "cite",
            user=user,
            role="asker",
            at=(START + timedelta(seconds=n)).isoformat(),
            question=f"What about thing{n} on day{n}?",
            evidence=(PRESS,),
        )
        for n in range(number)
    ]


def test_burst_waits_for_a_curator_who_releases_or_rejects(domain: Domain) -> None:
    learned = taught(domain, *burst())
    assert {each.reason for each in learned.left_out} == {QUARANTINED}
    assert decide(domain.workspace, "released", "eve", ["mallory-3"]) == 1
    assert decide(domain.workspace, "rejected", "eve", user="mallory") == 29
    after = learning.learned(domain.workspace)
    assert [each.id for each in after.examples] == ["mallory-3"]
    assert {each.reason for each in after.left_out} == {REJECTED}
    decided = {each.act.id: each.decision for each in quarantined(domain.workspace)}
    assert (decided["mallory-3"], decided["mallory-4"]) == ("released", "rejected")


@pytest.mark.parametrize("decision", [None, "rejected", "released"])
def test_trace_tells_what_became_of_an_act_in_a_burst(
    domain: Domain, decision: QuarantineDecision | None
) -> None:
    taught(domain, *burst())
    if decision:
        decide(domain.workspace, decision, "eve", user="mallory")
    traced = lineage.trace(domain.workspace, "mallory-3")
    assert isinstance(traced, TracedFeedback)
    told = {None: QUARANTINED, "rejected": REJECTED, "released": OVER_CAP}
    assert traced.reason == told[decision]


def test_decision_may_be_changed(domain: Domain) -> None:
    accept(domain.workspace, burst())
    decide(domain.workspace, "rejected", "eve", user="mallory")
    decide(domain.workspace, "released", "eve", ["mallory-3"])
    assert [each.id for each in learning.learned(domain.workspace).examples] == ["mallory-3"]


def test_what_is_not_in_quarantine_cannot_be_decided_on(domain: Domain) -> None:
    accept(domain.workspace, [*burst(), act("a", "cite", evidence=(LOCK,))])
    with pytest.raises(UsageError, match='"a" is not in quarantine'):
        decide(domain.workspace, "released", "eve", ["mallory-1", "a"])
    with pytest.raises(UsageError, match='No act of "ines" waits'):
        decide(domain.workspace, "rejected", "eve", user="ines")
    assert {each.decision for each in quarantined(domain.workspace)} == {None}


def test_confirmed_edit_leaves_the_quarantine(domain: Domain) -> None:
    edit = act("e", "edit", user="mallory", role="asker", at=START.isoformat(), answer="x")
    accept(domain.workspace, [*burst(), edit])
    confirm(domain.workspace, "e", "eve")
    decided = {each.act.id: each.decision for each in quarantined(domain.workspace)}
    assert decided["e"] == "released"


def test_review_shows_both_sides_of_a_dispute(domain: Domain) -> None:
    accept(
        domain.workspace,
        [
            act("a", "edit", answer="At the back."),
            act("b", "edit", user="tom", answer="In front."),
            act("c", "edit", user="bo", role="asker", answer="Nowhere."),
            act("d", "edit", question="How wide?", answer="2 m", evidence=("stands nowhere",)),
            act("e", "edit", question="How high?", answer="1 m", evidence=(LOCK,)),
        ],
    )
    found = {each.correction.id: each for each in waiting(domain.workspace)}
    assert {id: each.reasons for id, each in found.items()} == {
        "a": (DISPUTED,),
        "b": (DISPUTED,),
        "c": (SUGGESTED,),
        "d": (UNFOUND,),
    }
    assert [each.id for each in found["a"].against] == ["b"]
    assert [each.id for each in found["c"].against] == ["a", "b"]
    confirm(domain.workspace, "c", "eve")
    assert [each.correction.id for each in waiting(domain.workspace)] == ["d"]


def test_health_names_what_is_left_out_with_its_ids(domain: Domain) -> None:
    accept(domain.workspace, [*burst(), act("a", answer="other words"), act("b", answer="gone")])
    erase = update(table).where(table.c.id == "b").values(content="", question="", answer="")
    domain.workspace.database.write(lambda conn: conn.execute(erase).close())
    found = health(domain.workspace)
    assert {reason: len(ids) for reason, ids in found.left_out.items()} == {
        QUARANTINED: 30,
        NO_EVIDENCE: 1,
        ERASED: 1,
    }
    assert found.left_out[NO_EVIDENCE] == ("a",)
    assert (found.num_acts, found.num_examples) == (31, 0)
    (largest,) = [each for each in found.measures if each.name == "largest share of one user"]
    assert largest.count == 1, "what is held back is not measured"
