"""Each metric on the smallest case that tells its definition from its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flywheel.evaluate import metrics
from flywheel.evaluate.metrics import Row
from flywheel.records import Answer, ExamQuestion, Passage

MakeAnswer = Callable[..., Answer]
MakePassage = Callable[..., Passage]

EVIDENCE = "Turn the rotary switch on the inner edge of the rear door with the key blade."
OTHER = "The luggage compartment holds four hundred and ten litres with the seats up."
NOISE = "Wipe the camera lens with a soft cloth before every longer trip in winter."


def ask(**fields: Any) -> ExamQuestion:
    return ExamQuestion(id="q", question="Where is the child lock?", **fields)


GOLD = ask(evidence=(EVIDENCE,))


def row(question: ExamQuestion, answer: Answer, group: str = "g") -> Row:
    return metrics.mark(question, answer, latency_ms=10.0, group=group)


def test_recall_counts_the_pieces_that_the_first_k_passages_hold(answer: MakeAnswer) -> None:
    question = ask(evidence=(EVIDENCE, OTHER))
    found = answer(NOISE, EVIDENCE, NOISE, NOISE, NOISE, OTHER)
    assert metrics.evidence_recall_at_1(question, found) == 0
    assert metrics.evidence_recall_at_5(question, found) == 0.5
    assert metrics.evidence_recall_at_10(question, found) == 1


def test_a_piece_split_over_two_passages_is_found(answer: MakeAnswer) -> None:
    found = answer(EVIDENCE[:40], NOISE, EVIDENCE[40:])
    assert metrics.evidence_recall_at_1(GOLD, found) == 0
    assert metrics.evidence_recall_at_5(GOLD, found) == 1


def test_mrr_takes_the_first_passage_that_is_about_the_evidence(answer: MakeAnswer) -> None:
    assert metrics.evidence_mrr(GOLD, answer(NOISE, EVIDENCE)) == 0.5
    assert metrics.evidence_mrr(GOLD, answer(NOISE, OTHER)) == 0
    inside = EVIDENCE[10:40]  # less than half of the evidence, but all of it evidence
    assert metrics.evidence_mrr(GOLD, answer(inside)) == 1


def test_a_scrap_is_not_about_the_evidence(answer: MakeAnswer) -> None:
    assert metrics.evidence_mrr(GOLD, answer("the")) == 0
    assert metrics.evidence_mrr(GOLD, answer("")) == 0


def test_long_passages_buy_nothing(answer: MakeAnswer) -> None:
    assert metrics.evidence_recall_at_1(GOLD, answer(EVIDENCE + " word" * 300)) == 1
    assert metrics.evidence_recall_at_1(GOLD, answer(EVIDENCE + " word" * 400)) == 0
    assert metrics.evidence_mrr(GOLD, answer(EVIDENCE + "字" * 1300, EVIDENCE)) == 0.5


def test_one_whole_article_counts_whatever_its_length(passage: MakePassage) -> None:
    body = "有下列情形之一的，处五年以下有期徒刑。" * 100
    assert metrics.counts(passage(f"第一百二十条 {body}"))
    assert metrics.counts(passage(f"### 第一节 总则\n\n第一百二十条之一 {body}"))
    assert metrics.counts(passage(body, headings=("第二章", "第一百二十条")))
    assert not metrics.counts(passage(body))
    assert not metrics.counts(passage(f"第一条 {body}\n第二条 {body}"))
    assert not metrics.counts(passage(f"{body}\n第二条 {body}"))


def test_quoted_evidence_is_sought_in_the_draft(answer: MakeAnswer) -> None:
    question = ask(evidence=(EVIDENCE, OTHER))
    found = answer(NOISE, draft=f"As the manual says: {EVIDENCE}", kind="abstain")
    assert metrics.evidence_quoted(question, found) == 0.5


def test_the_draft_is_scored_even_when_it_was_not_given(answer: MakeAnswer) -> None:
    question = ask(answer="Turn the switch with the key.")
    found = answer(draft="Turn the switch with the key.", kind="abstain")
    assert metrics.answer_rouge_l(question, found) == 1
    assert metrics.answer_f1(question, found) == 1
    assert metrics.answered(question, found) == 0


def test_metrics_say_nothing_where_there_is_no_gold(answer: MakeAnswer) -> None:
    marked = row(ask(), answer(EVIDENCE, quote=EVIDENCE))
    assert set(marked.values) == {"citation_exact", "answered", "ask_back_rate"}
    assert marked.hit is None


def test_an_unanswerable_question_is_never_hit(answer: MakeAnswer) -> None:
    question = ask(answerable=False, evidence=(EVIDENCE,))
    marked = row(question, answer(EVIDENCE, quote=EVIDENCE, confidence=0.9))
    assert marked.hit is False
    assert marked.values["false_answer_rate"] == 1
    assert marked.values["selective_accuracy"] == 0
    assert marked.values["brier"] == pytest.approx(0.81)
    assert "evidence_mrr" not in marked.values


def test_asking_back_is_no_false_answer(answer: MakeAnswer) -> None:
    values = row(ask(answerable=False), answer(kind="ask_back")).values
    assert values["false_answer_rate"] == 0
    assert values["ask_back_rate"] == 1
    assert "selective_accuracy" not in values


def test_the_first_citation_decides_the_hit(answer: MakeAnswer) -> None:
    assert metrics.hits(GOLD, answer(EVIDENCE, quote=EVIDENCE)) is True
    assert metrics.hits(GOLD, answer(f"{OTHER} {EVIDENCE}", quote=OTHER)) is False
    assert metrics.hits(GOLD, answer(EVIDENCE)) is False


def test_a_citation_must_be_a_span_of_what_was_found(answer: MakeAnswer) -> None:
    good = answer(EVIDENCE, quote=EVIDENCE[5:30])
    assert metrics.citation_exact(GOLD, good) == 1
    elsewhere = Answer(
        question="?",
        answer="",
        draft="",
        kind="answer",
        confidence=0,
        citations=good.citations,
        passages=answer(OTHER).passages,
    )
    assert metrics.citation_exact(GOLD, elsewhere) == 0


def test_every_metric_states_its_definition() -> None:
    for metric in metrics.PER_QUESTION.values():
        assert metric.__doc__
    for name in metrics.OVER_QUESTIONS:
        assert f"`{name}`" in (metrics.statistic.__doc__ or "")


def test_scores_carry_an_interval_and_a_count(answer: MakeAnswer) -> None:
    rows = [
        row(GOLD, answer(EVIDENCE if place % 2 else NOISE), group=str(place)) for place in range(40)
    ]
    score = metrics.score(rows)["evidence_mrr"]
    assert score.value == 0.5
    assert 0.3 < score.low < 0.5 < score.high < 0.7
    assert score.count == 40
    assert metrics.score(rows)["evidence_mrr"] == score


def test_copies_of_a_question_do_not_narrow_the_interval(answer: MakeAnswer) -> None:
    def width(copies: int) -> float:
        rows = [
            row(GOLD, answer(EVIDENCE if group % 2 else NOISE), group=str(group))
            for group in range(20)
            for _ in range(copies)
        ]
        score = metrics.score(rows)["evidence_mrr"]
        return score.high - score.low

    assert width(10) == pytest.approx(width(1), abs=0.05)


def test_calibration_of_a_perfect_and_of_a_reversed_confidence(answer: MakeAnswer) -> None:
    def scored(hit: float, miss: float) -> dict[str, float]:
        right = answer(EVIDENCE, quote=EVIDENCE, confidence=hit)
        wrong = answer(OTHER, quote=OTHER, confidence=miss)
        rows = [row(GOLD, item, group=str(place)) for place, item in enumerate([right, wrong] * 10)]
        return {name: score.value for name, score in metrics.score(rows).items()}

    perfect = scored(1.0, 0.0)
    assert (perfect["auroc"], perfect["ece"], perfect["brier"]) == (1, 0, 0)
    reversed_ = scored(0.1, 0.9)
    assert reversed_["auroc"] == 0
    assert reversed_["ece"] == pytest.approx(0.9)
    assert scored(0.5, 0.5)["auroc"] == 0.5


def test_no_rows_give_no_scores() -> None:
    assert metrics.score([]) == {}
