"""The exam's figures in the words of a page: what a metric says, what was decided, bins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flywheel.evaluate.calibration import Bin
from flywheel.evaluate.exam import SPLITS
from flywheel.evaluate.metrics import LOWER_IS_BETTER
from flywheel.records import Score
from flywheel.serve.console.page import Page
from flywheel.serve.console.words import Words
from flywheel.wheel.exam.card import Card
from flywheel.wheel.exam.overview import Overview

SECTIONS: dict[str, tuple[str, ...]] = {
    "evidence": (
        "evidence_recall_at_10",
        "evidence_recall_at_5",
        "evidence_recall_at_1",
        "evidence_mrr",
        "evidence_quoted",
    ),
    "answers": ("answer_rouge_l", "answer_f1", "citation_exact"),
    "decisions": ("answered", "selective_accuracy", "false_answer_rate", "ask_back_rate"),
    "confidence": ("brier", "auroc", "ece"),
    "time": ("latency_p50_ms", "latency_p95_ms"),
}
"""The metrics in the order in which a reader wants them."""

SUMMARY = (
    "evidence_recall_at_10",
    "evidence_recall_at_1",
    "evidence_quoted",
    "selective_accuracy",
    "false_answer_rate",
)
"""What tells most in five lines."""

_SHARES = frozenset(
    {
        "evidence_recall_at_1",
        "evidence_recall_at_5",
        "evidence_recall_at_10",
        "evidence_quoted",
        "citation_exact",
        "answered",
        "selective_accuracy",
        "false_answer_rate",
        "ask_back_rate",
    }
)
"""Metrics that people read as percent; the others are numbers of their own kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A metric's value as it is written."""

    value: str
    interval: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRow:
    """A metric over all questions, and by language."""

    name: str
    section: str
    section_place: int
    is_lower_better: bool
    all: Figure
    by: tuple[Figure | None, ...]
    before: Figure | None


def tabs(page: Page) -> list[tuple[str, str]]:
    """The pages of the exam."""
    t = page.t
    return [
        ("/exam", t("exam.tab.card")),
        ("/exam/hardest", t("exam.tab.hardest")),
        ("/exam/feedback", t("exam.tab.feedback")),
        ("/exam/questions", t("exam.tab.questions")),
    ]


def metric_rows(t: Words, seen: Overview) -> list[MetricRow]:
    """Every metric that the version has."""
    parts = seen.card.metrics_by if seen.card else {}
    splits = [parts[each] for each in SPLITS if each in parts]
    return [
        MetricRow(
            name=name,
            section=section,
            section_place=place,
            is_lower_better=name in LOWER_IS_BETTER,
            all=figure(t, name, seen.metrics[name]),
            by=tuple(figure(t, name, each[name]) if name in each else None for each in splits),
            before=figure(t, name, seen.metrics_before[name])
            if name in seen.metrics_before
            else None,
        )
        for place, (section, names) in enumerate(SECTIONS.items())
        for name in names
        if name in seen.metrics
    ]


def figure(t: Words, name: str, score: Score) -> Figure:
    """A score as people read it: 85.7 %, and 80–90 beside it."""
    if name in _SHARES:
        value = t("exam.share", value=f"{100 * score.value:.1f}")
        interval = f"{100 * score.low:.0f}–{100 * score.high:.0f}"
    elif name.endswith("_ms"):
        value = t("exam.milliseconds", value=f"{score.value:.0f}")
        interval = f"{score.low:.0f}–{score.high:.0f}"
    else:
        value, interval = f"{score.value:.3f}", f"{score.low:.2f}–{score.high:.2f}"
    return Figure(value=value, interval=interval, count=score.count)


def sentence(t: Words, name: str, score: Score) -> str:
    """A metric in a line: what, how much, within what, of how many."""
    told = figure(t, name, score)
    return t(
        "exam.sentence",
        what=t.of("exam.metric", name),
        value=told.value,
        interval=told.interval,
        questions=t("exam.num_items", num=told.count),
    )


def summary(t: Words, seen: Overview) -> list[str]:
    """What tells most, a line each."""
    return [sentence(t, each, seen.metrics[each]) for each in SUMMARY if each in seen.metrics]


def decisions(t: Words, card: Card | None) -> list[str]:
    """What was decided on the questions, in words."""
    return list(_decisions(t, card)) if card else []


def bins(card: Card | None) -> list[Bin]:
    """The bins of the reliability diagram that hold anything."""
    return [each for each in card.bins if each.count] if card else []


def _decisions(t: Words, card: Card) -> Iterator[str]:
    told = card.decisions
    yield t("exam.decided.answered", num=told.answered, all=card.num_questions)
    if told.known:
        yield t("exam.decided.hits", num=told.hits, all=told.known)
    if told.unanswerable:
        yield t("exam.decided.false", num=told.false_answers, all=told.unanswerable)
    else:
        yield t("exam.decided.none_unanswerable")
    yield t("exam.decided.asked_back", num=told.asked_back)
    yield t("exam.decided.abstained", num=told.abstained)
