"""Each guard keeps two questions apart, whichever comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.search.paraphrase import likeness
from flywheel.search.vocabulary import chinese, english
from flywheel.search.wording import wording


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("How do I get 2 tickets?", "How do I get 3 tickets?", "number"),
        ("请假3天找谁？", "请假五天找谁？", "number"),
        ("Which rooms may I use?", "Which rooms may I not use?", "negation"),
        ("哪些房间可以用？", "哪些房间不可以用？", "negation"),
        ("Where is the spare key?", "When is the spare key due?", "kind"),
        ("备用钥匙在哪里？", "备用钥匙多少钱？", "kind"),
        ("How do I reset the Orion display?", "How do I reset the display?", "name"),
        ("Can I eat before the visit?", "Can I eat after the visit?", "order"),
        ("May the bank sue the client?", "May the client sue the bank?", "order"),
        ("老师可以罚学生吗？", "学生可以罚老师吗？", "order"),
        ("How do I clean the filter?", "How do I clean the grill?", "left over"),
        ("怎么清洗滤网？", "怎么清洗烤架？", "left over"),
        ("What are the laws on parking?", "Is parking allowed?", "kind"),
    ],
)
def test_what_differs_is_named(one: str, other: str, reason: str) -> None:
    for first, second in ((one, other), (other, one)):
        assert likeness(wording(first), wording(second)).objection == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I install the rack?", "How is the installation of the rack done?"),
        ("Where is the dash cam?", "where can I find the dashcam"),
        ("怎么安装行车记录仪？", "行车记录仪如何安装"),
        ("检查之后怎么拿报告", "检查完怎么拿报告"),
        ("If the tank is empty, what do I do?", "What do I do if the tank is empty?"),
        ("请假要提前几天？", "要提前几天请假？"),
    ],
)
def test_forms_of_one_question_meet_no_objection(one: str, other: str) -> None:
    found = likeness(wording(one), wording(other))
    assert found.objection == ""
    assert found.similarity > 0.7


def test_what_goes_without_saying_is_on_one_side_alone() -> None:
    """Beside *warranty*, *valid* counts as little as a plain verb, and is not shared."""
    found = likeness(wording("Is the warranty valid?"), wording("Is the warranty?"))
    assert found.similarity == pytest.approx(1 / 1.1)


ENGLISH = sorted({" ".join(words) for words in english().exact})
CHINESE = sorted(chinese().table)
QUESTION = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(ENGLISH), max_size=6).map(" ".join),
    st.lists(st.sampled_from(CHINESE), max_size=6).map("".join),
)
"""Anything at all, and what the word lists know."""


@given(QUESTION, QUESTION)
def test_similarity_is_a_share_and_the_same_both_ways(one: str, other: str) -> None:
    first, second = wording(one), wording(other)
    assert 0 <= likeness(first, second).similarity <= 1
    assert likeness(first, second) == likeness(second, first)


@given(st.lists(st.sampled_from(CHINESE), min_size=1, max_size=4))
def test_a_question_of_known_words_meets_no_objection_to_itself(words: list[str]) -> None:
    asked = wording("".join(words) + "怎么办")
    assert likeness(asked, asked).objection in ("", "nothing shared")
