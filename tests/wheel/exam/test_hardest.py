"""The hardest questions are told from the rows, and their drafts are asked one at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flywheel.records import Feedback
from flywheel.store.exam_rows import key_of
from flywheel.wheel.exam import hardest as exam_hardest
from flywheel.wheel.exam.card import sit_again
from flywheel.wheel.exam.hardest import Hardest
from flywheel.wheel.feedback import accept

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "The child lock sits on the edge of each rear door."
锁 = "儿童锁在后车门的边缘。"
HOURS = "A full charge takes six hours."

LINES = (
    {"id": 1, "question": "Where does the child lock sit?", "evidence": [LOCK]},
    {"id": 2, "question": "Does pulling the handle twice open it?", "evidence": [HOURS]},
    {"id": 3, "question": "防夹保护在遇到阻力时怎样？", "evidence": [锁], "tags": ["rare"]},
    {"id": 4, "question": "Gone?", "answer": "Yes."},
)


def sit(domain: Domain) -> None:
    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in LINES)
    (domain.root / "exam.jsonl").write_text("".join(lines), encoding="utf-8")
    sit_again(domain.workspace)


def hardest(domain: Domain, labels: tuple[str, ...] | None = None, **chosen: str) -> Hardest:
    return exam_hardest.hardest(domain.workspace, domain.workspace.champion(), labels, **chosen)  # type: ignore[arg-type]


def asked(found: Hardest) -> list[str]:
    return [each.held.question.id for each in found.questions]


def test_what_was_found_first_and_cited_is_not_hard(domain: Domain) -> None:
    sit(domain)
    found = hardest(domain)
    assert "1" not in asked(found) and set(asked(found)) == {"2", "3", "4"}
    assert found.num_hard == 3 and found.tags == ("rare",)
    worst = found.questions[0]
    assert worst.rank != 1 and worst.row.hit is not True
    wrong = next(each for each in found.questions if each.held.question.id == "2")
    assert "handle twice" in wrong.found[0].text
    assert wrong.gold[0], "where the evidence stands can be looked at"


def test_filter_and_pages_leave_the_order(domain: Domain) -> None:
    sit(domain)
    assert asked(hardest(domain, language="zh")) == asked(hardest(domain, tag="rare")) == ["3"]
    assert hardest(domain, tag="none").num_hard == 0
    every = asked(hardest(domain))
    pages = [
        exam_hardest.hardest(
            domain.workspace, domain.workspace.champion(), None, skip=place, limit=1
        )
        for place in range(3)
    ]
    assert [asked(each)[0] for each in pages] == every


def test_question_that_was_changed_since_is_counted_and_not_shown(domain: Domain) -> None:
    sit(domain)
    place = domain.root / "exam.jsonl"
    place.write_text(place.read_text("utf-8").replace("handle twice open", "handle once open"))
    found = hardest(domain)
    assert found.num_changed == 1 and "2" not in asked(found)


def test_labels_hide_questions_passages_and_drafts(domain: Domain) -> None:
    sit(domain)
    champion = domain.workspace.champion()
    public = hardest(domain, ("public",))
    assert set(asked(public)) == {"2", "3"} and public.num_hidden == 1
    key = public.questions[0].held.key
    domain.add(access=["staff"])
    closed = hardest(domain, ("public",))
    assert closed.questions == () and closed.num_hidden == 4
    assert exam_hardest.question_of(domain.workspace, champion, key, ("public",)) is None
    open_one = exam_hardest.question_of(domain.workspace, champion, key, ("staff",))
    assert open_one is not None
    told = exam_hardest.draft(domain.workspace, open_one.question, ("public",))
    assert told.draft == "" and told.passages == ()


def test_draft_is_the_versions_own_without_corrections(domain: Domain) -> None:
    sit(domain)
    act = Feedback(
        id="e", kind="edit", user="ines", role="curator", at="", answer="Nowhere at all.",
        question="Where does the child lock sit?", evidence=(LOCK,),
    )  # fmt: skip
    accept(domain.workspace, [act])
    champion = domain.workspace.champion()
    key = key_of("1")
    held = exam_hardest.question_of(domain.workspace, champion, key, None)
    assert held is not None
    told = exam_hardest.draft(domain.workspace, held.question, None)
    assert "edge of each rear door" in told.draft and not told.verified


def test_questions_made_from_the_documents_are_shown_with_their_words(domain: Domain) -> None:
    found = hardest(domain)
    assert found.num_changed == 0
    for each in found.questions:
        assert each.held.question.question and "synthetic" in each.held.question.tags
        champion = domain.workspace.champion()
        again = exam_hardest.question_of(domain.workspace, champion, each.held.key, None)
        assert again is not None and again.question == each.held.question
