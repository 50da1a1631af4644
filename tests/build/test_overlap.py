"""What shares its wording with the exam is found; what documents say themselves is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.build.overlap import FEWEST_WORDS, NUM_WORDS, Overlap
from flywheel.records import ExamQuestion

EN = "May I leave the car at the charging post over night when it is full already in winter?"
ZH = (
    "我在网上买的二手车里程数被卖家改过，合同里写明车况一概不负责，这种情况下我还能要求退车并赔偿吗"
)
TOLD = "Yes, you may leave it there until eight in the morning, since the post ends charging alone."
LAW = "经营者提供商品有欺诈行为的，应当按照消费者的要求增加赔偿其受到的损失，金额为价款的三倍"


def exam(question: str, answer: str | None = None, *evidence: str) -> Overlap:
    asked = ExamQuestion(id="1", question=question, answer=answer, evidence=evidence)
    return Overlap([asked])


@pytest.mark.parametrize("question", [EN, ZH])
def test_question_is_found_whatever_stands_around_it_and_however_it_is_marked(
    question: str,
) -> None:
    overlap = exam(question)
    assert overlap.holds(question)
    assert overlap.holds("Hello! " + question.upper().replace(" ", "\n") + " 谢谢 Thanks")
    assert not overlap.holds("", "May I leave the car?", "这种情况下我还能要求退车吗")


def test_traditional_characters_are_the_same_wording() -> None:
    traditional = (
        "我在網上買的二手車里程數被賣家改過，合同里寫明車況一概不負責，這種情況下我還能要求退車"
    )
    assert exam(ZH).holds(traditional)


def test_long_run_is_enough_and_a_short_one_is_not() -> None:
    words = EN.rstrip("?").split()
    assert exam(EN).holds(" ".join(words[2 : 2 + NUM_WORDS]))
    assert not exam(EN).holds(" ".join(words[2 : 1 + NUM_WORDS]))
    assert exam(ZH).holds(ZH[5:40])
    assert not exam(ZH).holds(ZH[5:34])


def test_short_question_counts_as_a_whole_and_a_very_short_one_alone() -> None:
    short = "Where do I find the child lock in it?"
    assert len(short.split()) >= FEWEST_WORDS
    assert exam(short).holds("Tell me: where do I find the child lock in it, please")
    assert exam("Where is the child lock?").holds("where is the child lock")
    assert not exam("Where is the child lock?").holds("Oh, where is the child lock?")
    assert exam("儿童锁在哪里？").holds("儿童锁在哪里")
    assert not exam("儿童锁在哪里？").holds("请问儿童锁在哪里？")


def test_gold_answer_is_found_unless_it_is_what_documents_say() -> None:
    assert exam("How long?", TOLD).holds("He said: " + TOLD)
    assert not exam("How long?", TOLD, f"Parking. {TOLD}").holds(TOLD)
    assert not Overlap(
        [ExamQuestion(id="1", question="怎么赔？", answer=f"可以。{LAW}。")],
        [f"第五十五条 {LAW}。"],
    ).holds(f"根据规定，{LAW}")
    assert exam("怎么赔？", f"可以。{LAW}。").holds(f"根据规定，{LAW}")


def test_question_that_stands_in_a_document_stays_an_exam_question() -> None:
    asked = ExamQuestion(id="1", question=EN, evidence=(EN,))
    assert Overlap([asked], [EN]).holds(EN)


def test_without_an_exam_nothing_is_held() -> None:
    assert not Overlap().holds("", EN)


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_question_is_always_held_by_itself(question: str, before: str, after: str) -> None:
    overlap = exam(EN + question)
    assert overlap.holds(EN + question)
    assert overlap.holds(f"{before} {EN} {after}")
