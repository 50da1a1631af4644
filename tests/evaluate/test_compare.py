"""The paired comparison: what it shows, what it must not claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from flywheel.evaluate import compare as compare_module
from flywheel.evaluate import exam
from flywheel.evaluate.compare import compare, enough
from flywheel.evaluate.exam import Sitting
from flywheel.records import Answer, ExamQuestion

MakeAnswer = Callable[..., Answer]

EVIDENCE = "Tighten the wheel nuts crosswise to 120 N·m."
NOISE = "Wipe the camera lens with a soft cloth."


@pytest.fixture
def sit(answer: MakeAnswer) -> Sit:
    return Sit(answer)


class Sit:
    """Sittings in which the i-th question finds its evidence where the i-th flag says so."""

    def __init__(self, answer: MakeAnswer) -> None:
        self.answer = answer

    def __call__(self, found: Sequence[bool], groups: dict[str, str] | None = None) -> Sitting:
        questions = [
            ExamQuestion(id=str(place), question=f"Question {place}?", evidence=(EVIDENCE,))
            for place in range(len(found))
        ]
        flags = {question.question: flag for question, flag in zip(questions, found, strict=True)}
        return exam.sit(
            questions,
            lambda asked: self.answer(EVIDENCE if flags[asked] else NOISE, draft=asked),
            groups,
        )


def test_a_clear_gain_is_shown(sit: Sit) -> None:
    result = compare(sit([False] * 30 + [True] * 30), sit([True] * 60), "evidence_mrr", 1, 7)
    assert (result.champion, result.challenger, result.gain) == (0.5, 1, 0.5)
    assert 0.3 < result.low < 0.5
    assert result.is_better
    assert result.is_not_worse(0.05)
    assert result.alpha == 0.025
    assert result.num_resamples == 8000


def test_no_difference_is_no_gain_and_no_loss(sit: Sit) -> None:
    sitting = sit([True, False] * 30)
    result = compare(sitting, sitting, "evidence_mrr", None, 7)
    assert (result.gain, result.low_seen, result.num_changed) == (0, 0, 0)
    assert result.alpha == 0.05
    assert not result.is_better
    assert result.low == pytest.approx(-3 / 61)  # the rule of three
    assert result.is_not_worse(0.05)
    assert 3 / 60 < result.smallest_gain < 4 / 60


def test_a_loss_that_nobody_met_is_ruled_out_by_enough_questions_only(sit: Sit) -> None:
    few, many = sit([True] * 55), sit([True] * 60)
    assert not compare(few, few, "evidence_mrr", None, 7).is_not_worse(0.05)
    assert compare(few, few, "evidence_mrr", None, 7).shows_no_loss(0.05)
    assert compare(many, many, "evidence_mrr", None, 7).is_not_worse(0.05)


def test_questions_that_the_metric_says_nothing_about_prove_nothing(answer: MakeAnswer) -> None:
    questions = [
        ExamQuestion(id=str(place), question=f"Question {place}?", answerable=place < 10)
        for place in range(100)
    ]
    sitting = exam.sit(questions, lambda asked: answer(kind="answer"))
    compared = compare(sitting, sitting, "false_answer_rate", None, 7)
    assert compared.num_groups == 90


def test_a_loss_is_never_within_a_smaller_margin(sit: Sit) -> None:
    result = compare(sit([True] * 60), sit([False] * 10 + [True] * 50), "evidence_mrr", 1, 7)
    assert result.gain == pytest.approx(-1 / 6)
    assert not result.is_not_worse(0.05)


def test_a_few_questions_show_nothing(sit: Sit) -> None:
    result = compare(sit([False] * 5), sit([True] * 5), "evidence_mrr", 1, 7)
    assert result.low_seen == 1
    assert not result.is_better
    same = compare(sit([True] * 4), sit([True] * 4), "evidence_mrr", None, 7)
    assert not same.is_not_worse(0.05)
    assert not same.shows_no_loss(0.05)


def test_four_wins_and_no_loss_are_not_enough(sit: Sit) -> None:
    champion = sit([False] * 4 + [True] * 96)
    result = compare(champion, sit([True] * 100), "evidence_mrr", 1, 7)
    assert not result.is_better


def test_copies_in_one_group_count_once(sit: Sit) -> None:
    groups = {str(place): str(place % 5) for place in range(60)}
    result = compare(sit([False] * 60, groups), sit([True] * 60, groups), "evidence_mrr", 1, 7)
    assert result.num_groups == 5
    assert not result.is_better


def test_later_decisions_ask_for_more(sit: Sit) -> None:
    before, after = sit([True, False] * 30), sit([True] * 45 + [True, True, False] * 5)
    first, third = (compare(before, after, "evidence_mrr", k, 7) for k in (1, 3))
    assert third.alpha == pytest.approx(0.05 / 12)
    assert third.num_resamples >= 200 / third.alpha
    assert third.low < first.low
    assert third.smallest_gain > first.smallest_gain
    assert enough(third.alpha) > enough(first.alpha)


def test_late_decisions_take_no_more_resamples_than_there_may_be(
    sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "MAX_RESAMPLES", 10_000)
    before, after = sit([True, False] * 10), sit([True] * 20)
    late = compare(before, after, "evidence_mrr", 50, 7)
    assert late.alpha == pytest.approx(0.05 / 2550)
    assert (late.num_resamples, late.is_better) == (10_000, False)
    # No resample is beyond the 1 / 50,000 asked for: the smallest is the bound.
    assert late.low == compare(before, after, "evidence_mrr", 10**6, 7).low


def test_only_what_the_first_decision_would_show_is_drawn_more_often(sit: Sit) -> None:
    before, after = sit([True, False] * 30), sit([True, True, True, False] * 15)
    same = compare(before, before, "evidence_mrr", 50, 7)
    assert (same.num_resamples, same.alpha, same.is_better) == (8000, 0.025, False)
    assert same.smallest_gain > compare(before, before, "evidence_mrr", 1, 7).smallest_gain
    shown = compare(before, after, "evidence_mrr", 2, 7)
    assert shown.alpha == pytest.approx(0.05 / 6)
    # A loss within the margin is to be ruled out, and is looked at as closely as a gain.
    assert compare(before, before, "evidence_mrr", 2, 7, margin=0.2).alpha == shown.alpha


def test_a_fall_of_what_should_be_low_is_a_gain(answer: MakeAnswer) -> None:
    questions = [
        ExamQuestion(id=str(place), question=f"Question {place}?", answerable=False)
        for place in range(30)
    ]
    champion = exam.sit(questions, lambda asked: answer(kind="answer"))
    challenger = exam.sit(questions, lambda asked: answer(kind="abstain"))
    result = compare(champion, challenger, "false_answer_rate", 1, 7)
    assert result.gain == 1
    assert result.is_better


def test_rare_whole_losses_do_not_hide_behind_many_small_gains(sit: Sit) -> None:
    generator = np.random.default_rng(3)
    num_wrong = 0
    for _ in range(40):
        # Of no use on average: a gain of a sixth in 30 %, a loss of all in 5 %.
        drawn = generator.random(20)
        before = np.where(drawn < 0.3, 5 / 6, 1.0)
        after = np.where(drawn > 0.95, 0.0, 1.0)
        result = compare(
            with_values(sit, before.tolist()),
            with_values(sit, after.tolist()),
            "evidence_mrr",
            1,
            7,
        )
        num_wrong += result.is_better
    assert num_wrong <= 3  # a bootstrap of what was seen alone errs 11 times


def with_values(sit: Sit, values: Sequence[float]) -> Sitting:
    """A sitting with these values of `evidence_mrr`."""
    sitting = sit([True] * len(values))
    rows = [
        replace(row, values={"evidence_mrr": value})
        for row, value in zip(sitting.rows, values, strict=True)
    ]
    return replace(sitting, rows=tuple(rows))


def test_comparison_is_the_same_for_the_same_seed(sit: Sit) -> None:
    before, after = sit([True, False] * 20), sit([False, True, True, True] * 10)
    assert compare(before, after, "evidence_mrr", 2, 5) == compare(
        before, after, "evidence_mrr", 2, 5
    )


def test_pairs_are_matched_by_id_not_by_place(sit: Sit) -> None:
    before = sit([True] * 10 + [False] * 30)
    turned = Sitting(
        rows=before.rows[::-1], metrics=before.metrics, metrics_by={}, seconds=before.seconds
    )
    assert compare(before, turned, "evidence_mrr", 1, 7).num_changed == 0


def test_different_exams_cannot_be_compared(sit: Sit) -> None:
    with pytest.raises(ValueError, match="same questions"):
        compare(sit([True] * 3), sit([True] * 4), "evidence_mrr", 1, 7)
    with pytest.raises(ValueError, match="says nothing"):
        compare(sit([True] * 3), sit([True] * 3), "answer_rouge_l", 1, 7)


def test_a_challenger_that_is_no_better_is_rarely_called_better(sit: Sit) -> None:
    generator = np.random.default_rng(11)
    num_wrong = 0
    for _ in range(60):
        before, after = (generator.random(40) < 0.5 for _ in range(2))
        result = compare(sit(before.tolist()), sit(after.tolist()), "evidence_mrr", 1, 7)
        num_wrong += result.is_better
    assert num_wrong <= 6  # 1.5 are expected of 60; 7 or more come once in 2,000 times
