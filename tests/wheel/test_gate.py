"""The gate promotes what the exam shows to be better, and blocks what may have fallen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from flywheel.evaluate import metrics
from flywheel.evaluate.exam import Sitting, sit
from flywheel.records import Answer, ExamQuestion, Passage
from flywheel.wheel.gate import (
    Decision,
    Saving,
    as_good_and_cheaper,
    decide,
    takes_over,
)
from flywheel.wheel.settings import GateSettings

EVIDENCE = "The child lock sits on the edge of each rear door."
SETTINGS = GateSettings()
UNGUARDED = "answer_rouge_l is not guarded: no answer of the champion can be measured by it"


def sitting(found: Sequence[bool]) -> Sitting:
    """One in which each question finds its evidence first, or something else."""
    questions = [
        ExamQuestion(id=str(number), question=f"Question {number}?", evidence=(EVIDENCE,))
        for number in range(len(found))
    ]
    flags = {each.question: flag for each, flag in zip(questions, found, strict=True)}
    return sit(questions, lambda question: answer(question, flags[question]))


def answer(question: str, found: bool) -> Answer:
    text = EVIDENCE if found else "Wipe the lens of the camera with a soft cloth."
    passage = Passage(
        id="p", document="d", title="Doors", headings=(), text=text, language="en", position=0
    )
    return Answer(
        question=question,
        answer=text,
        draft=text,
        kind="answer",
        confidence=0.5,
        citations=(),
        passages=(passage,),
    )


def decided(
    before: Sequence[bool], after: Sequence[bool], *, newer_documents: bool = False, k: int = 1
) -> Decision:
    return decide(sitting(before), sitting(after), SETTINGS, k=k, newer_documents=newer_documents)


def test_shown_gain_is_promoted() -> None:
    decision = decided([False] * 30 + [True] * 30, [True] * 60)
    assert decision.promote and decision.tested_gain and decision.sets_bar
    assert decision.rule == "gain"
    assert decision.reasons[0].startswith("evidence_mrr gains: 0.500 → 1.000, lower bound +0.")
    assert "the smallest gain this exam could see" in decision.reasons[0]


def test_equal_challenger_is_kept() -> None:
    decision = decided([True, False] * 30, [True, False] * 30)
    assert not decision.promote and decision.tested_gain and not decision.sets_bar
    assert decision.rule == "no gain"
    assert decision.reasons[0].startswith("evidence_mrr shows no gain: 0.500 → 0.500")


def test_equal_challenger_with_newer_documents_is_promoted() -> None:
    decision = decided([True, False] * 30, [True, False] * 30, newer_documents=True)
    assert decision.promote and not decision.tested_gain
    assert decision.reasons == (
        "it carries newer documents and evidence_mrr does not fall: 0.500 → 0.500",
        UNGUARDED,
    )


def test_guard_that_nothing_can_be_measured_by_is_named_and_does_not_block() -> None:
    decision = decided([False] * 30 + [True] * 30, [True] * 60)
    assert decision.promote and decision.reasons[-1] == UNGUARDED


@pytest.mark.parametrize("newer_documents", [False, True])
def test_guard_that_only_the_champion_can_be_measured_by_blocks(newer_documents: bool) -> None:
    settings = GateSettings(guards=("selective_accuracy",))
    answers, silent = sitting([True] * 80), without(sitting([True] * 80), "selective_accuracy")
    told = "selective_accuracy may have fallen: no answer of the challenger can be measured by it"
    decision = decide(answers, silent, settings, k=1, newer_documents=newer_documents)
    assert not decision.promote and decision.reasons == (told,)
    kept = decide(silent, silent, settings, k=1, newer_documents=False)
    again = as_good_and_cheaper(kept, answers, silent, settings, CHEAPER, number=3, k=1)
    assert not again.promote and told in again.reasons[-1]


def without(sitting: Sitting, metric: str) -> Sitting:
    """As it would be where no answer can be measured by this metric."""
    rows = [
        replace(row, values={name: row.values[name] for name in row.values if name != metric})
        for row in sitting.rows
    ]
    return replace(sitting, rows=tuple(rows), metrics=metrics.score(rows))


@pytest.mark.parametrize("newer_documents", [False, True])
def test_guarded_metric_that_may_fall_blocks(newer_documents: bool) -> None:
    decision = decided([True] * 60, [True] * 50 + [False] * 10, newer_documents=newer_documents)
    assert not decision.promote
    told = "evidence_recall_at_10 may fall by more than 0.05: 1.000 → 0.833"
    assert any(told in reason for reason in decision.reasons)


def test_too_few_questions_prove_nothing() -> None:
    decision = decided([True] * 3, [True] * 3, newer_documents=True)
    assert not decision.promote
    told = "evidence_recall_at_10: 3 questions are too few to rule out a loss of 0.05: 1.000 → "
    assert decision.reasons[1].startswith(told)
    assert decision.reasons[1].endswith("add more to the exam")


def test_newer_documents_on_a_small_exam_name_the_loss_that_could_be_unseen() -> None:
    decision = decided([True] * 20, [True] * 20, newer_documents=True)
    assert decision.promote and decision.rule == "newer documents"
    assert decision.reasons[1] == (
        "20 questions are too few to rule out that evidence_mrr falls by up to 0.14"
    )
    assert not decided([True] * 20, [True] * 20).promote


def test_guard_grows_no_stricter_with_later_decisions() -> None:
    before, after = [True] * 60 + [False] * 60, [True] * 120
    assert decided(before, after, k=30).promote
    assert decided([True] * 60, [True] * 60, k=30).rule == "no gain"


CHEAPER = Saving(what="1000 bytes", share=0.5, high=0.5)


def looked_again(best: Sequence[bool], challenger: Sequence[bool], k: int = 1) -> Decision:
    kept = decided(challenger, challenger)
    assert kept.rule == "no gain"
    return as_good_and_cheaper(
        kept, sitting(best), sitting(challenger), SETTINGS, CHEAPER, number=3, k=k
    )


def test_cheaper_challenger_as_good_as_the_best_is_promoted() -> None:
    decision = looked_again([True] * 80, [True] * 80)
    assert decision.promote and decision.rule == "cheaper"
    assert decision.tested_gain, "it was looked at for a gain first"
    assert not decision.sets_bar, "the bar stays where the last gain has put it"
    told = "it costs 0.50 of the champion's 1000 bytes and is as good as version 3, the best: "
    assert decision.reasons[0].startswith(told + "evidence_mrr does not fall: 1.000 → 1.000")
    assert "shows no gain" in decision.reasons[1]


def test_cheaper_challenger_as_good_as_the_champion_but_not_as_the_best_is_kept() -> None:
    decision = looked_again([True] * 80, [True] * 74 + [False] * 6)
    assert not decision.promote and decision.rule == "no gain"
    told = "it costs 0.50 of the champion's 1000 bytes, but against version 3, the best: "
    assert decision.reasons[-1].startswith(told + "evidence_mrr may fall by more than 0.05")


def test_cheaper_is_harder_to_show_the_oftener_it_is_tried_on_the_same_questions() -> None:
    assert looked_again([True] * 70, [True] * 70, k=1).promote
    assert not looked_again([True] * 70, [True] * 70, k=2).promote
    assert looked_again([True] * 90, [True] * 90, k=2).promote


def test_a_tenth_is_the_least_that_counts_as_cheaper() -> None:
    assert Saving(what="bytes", share=0.9, high=0.9).is_cheaper
    assert not Saving(what="bytes", share=0.95, high=0.95).is_cheaper
    assert not Saving(what="time", share=0.8, high=0.95).is_cheaper


def test_gain_over_a_champion_that_was_only_cheaper_does_not_lower_the_bar() -> None:
    best, better, less = sitting([True] * 10), sitting([True] * 10), sitting([False] * 10)
    assert takes_over(best, better, SETTINGS)
    assert not takes_over(best, less, SETTINGS)


def test_best_version_that_nothing_measures_lets_gains_pass_and_savings_not() -> None:
    found = sitting([True] * 80)
    unmeasured = replace(found, metrics={}, rows=())
    assert takes_over(unmeasured, found, SETTINGS)
    kept = decided([True] * 80, [True] * 80)
    settings = GateSettings(guards=())
    looked = as_good_and_cheaper(kept, unmeasured, found, settings, CHEAPER, number=3, k=1)
    assert not looked.promote
    assert looked.reasons[-1] == (
        "it costs 0.50 of the champion's 1000 bytes, but against version 3, the best: "
        "evidence_mrr cannot be compared: it measures no answer of that one"
    )


def test_later_decisions_on_the_same_questions_ask_for_more() -> None:
    before, after = [True] * 53 + [False] * 7, [True] * 60
    assert decided(before, after, k=1).promote
    assert not decided(before, after, k=9).promote


def test_exam_without_evidence_decides_nothing() -> None:
    def blank() -> Sitting:
        questions = [ExamQuestion(id="1", question="Why?", answerable=False)]
        return sit(questions, lambda question: answer(question, False))

    decision = decide(blank(), blank(), SETTINGS, k=1, newer_documents=True)
    assert not decision.promote
    assert decision.reasons == ("the exam has no question that measures evidence_mrr",)


def test_settings_name_metrics_that_exist() -> None:
    with pytest.raises(ValidationError, match="latency_p50_ms is no metric"):
        GateSettings(primary="latency_p50_ms")
    with pytest.raises(ValidationError, match="accuracy is no metric; there are evidence_recall"):
        GateSettings(guards=("accuracy",))
