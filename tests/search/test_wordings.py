"""Questions found by what they ask: what is taken away leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sized

from flywheel.search.wording import read
from flywheel.search.wordings import NUM_CLOSE, Wordings


def wordings(*questions: str) -> Wordings[str]:
    made = Wordings[str]()
    for question in questions:
        made.add(question, read(question), question)
    return made


def anything(item: str) -> bool:
    return True


def test_the_same_question_and_paraphrases_are_told_apart() -> None:
    found = wordings("How do I change the wiper blades?", "雨刮片怎么更换？")
    for same, paraphrase in (
        ("how do i change the wiper blades", "how to replace the wiper blade"),
        ("请问雨刮片怎么更换", "如何换雨刷片"),
    ):
        assert len(list(found.same(read(same)))) == 1
        assert list(found.alike(read(same), anything)) == []
        assert list(found.same(read(paraphrase))) == []
        assert len(list(found.alike(read(paraphrase), anything))) == 1


def test_what_may_not_serve_takes_no_place_of_what_may() -> None:
    found = wordings("How do I change the wiper blades?")
    for number in range(NUM_CLOSE + 1):
        found.add(number, read("How to replace a wiper blade?"), "")
    alike = found.alike(read("how to replace the wiper blade"), bool)
    assert [item for item, _ in alike] == ["How do I change the wiper blades?"]


def test_what_comes_and_goes_leaves_nothing_behind() -> None:
    found = wordings("Where is the jack?")
    sizes = set()
    for number in range(20):
        question = f"Where is tool number {number} of box {number}?"
        found.add("new", read(question), question)
        found.remove("new")
        sizes.add(sum(len(part) for part in vars(found).values() if isinstance(part, Sized)))
    found.remove("never there")
    assert len(found) == 1
    assert len(sizes) == 1
