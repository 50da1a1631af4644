"""What is measured on an exam: evidence, answers, decisions, calibration, time.

Every metric is a function whose docstring is its definition. It takes a question and what it
led to, and gives a value, or None where the metric says nothing about such a question.
Retrieved evidence and the draft are scored whatever was decided; the decision is scored apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from flywheel.evaluate import bootstrap, text
from flywheel.evaluate.bootstrap import Floats, Statistic
from flywheel.records import Answer, Citation, ExamQuestion, Passage, Score

FOUND = 0.8
"""The share of a piece of evidence that must be covered for it to be found."""

TOUCHED = 0.5
"""The share of a piece of evidence that tells a passage or a quote about it from another."""

MAX_HAN = 1200
MAX_WORDS = 400
"""Passages above either count for nothing, so that recall cannot be bought with long ones."""

NUM_BINS = 5
NUM_RESAMPLES = 1000
SEED = 20261

_NUMBER = "[零〇一二三四五六七八九十百千万两0-9]+"
_ARTICLE = re.compile(
    rf"^[ \t　#*>]*(?:第\s*{_NUMBER}\s*[条條]|(?:article|art\.|§)\s*\d+)",
    re.IGNORECASE | re.MULTILINE,
)

Metric: TypeAlias = Callable[[ExamQuestion, Answer], float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One question of an exam, what it led to, and what each metric says about that."""

    question: ExamQuestion
    answer: Answer
    latency_ms: float
    group: str
    hit: bool | None
    """Whether the first citation hits gold evidence; None where nobody knows."""
    values: Mapping[str, float]
    """Every per-question metric that says something about this question."""


def has_evidence(question: ExamQuestion) -> bool:
    """Whether it is known which text answers the question."""
    return question.answerable and bool(question.evidence)


def counts(passage: Passage) -> bool:
    """Whether the passage is short enough: 1,200 Han characters and 400 words at most.

    One whole article of a statute counts whatever its length: it is named by its first line
    or its innermost heading, and holds no second one.
    """
    num_han = len(text.HAN.findall(passage.text))
    num_words = len(text.LATIN_WORD.findall(passage.text))
    if num_han <= MAX_HAN and num_words <= MAX_WORDS:
        return True
    return _is_one_article(passage)


def found_texts(answer: Answer, k: int) -> list[str]:
    """The texts of the first k passages; one that is too long keeps its rank and gives nothing."""
    return [passage.text if counts(passage) else "" for passage in answer.passages[:k]]


def is_about(found: str, evidence: str) -> bool:
    """Whether the text covers half of the evidence or lies 80% inside it.

    A text too short to be told from a chance agreement lies inside nothing.
    """
    if text.coverage(evidence, found) >= TOUCHED:
        return True
    return text.is_block(found) and text.coverage(found, evidence) >= FOUND


def evidence_recall(question: ExamQuestion, answer: Answer, k: int) -> float | None:
    """The share of the pieces of evidence that the first k passages hold.

    A piece is found when the first k passages together cover at least 80% of its characters;
    any identical copy counts. Questions with evidence.
    """
    if not has_evidence(question):
        return None
    found = found_texts(answer, k)
    pieces = [text.coverage(piece, *found) >= FOUND for piece in question.evidence]
    return sum(pieces) / len(pieces)


def evidence_recall_at_1(question: ExamQuestion, answer: Answer) -> float | None:
    """`evidence_recall` of the first passage."""
    return evidence_recall(question, answer, 1)


def evidence_recall_at_5(question: ExamQuestion, answer: Answer) -> float | None:
    """`evidence_recall` of the first five passages."""
    return evidence_recall(question, answer, 5)


def evidence_recall_at_10(question: ExamQuestion, answer: Answer) -> float | None:
    """`evidence_recall` of the first ten passages."""
    return evidence_recall(question, answer, 10)


def evidence_mrr(question: ExamQuestion, answer: Answer) -> float | None:
    """1 / the rank of the first of ten passages that is about any piece of evidence, else 0.

    About: it covers half of the piece or lies 80% inside it. Questions with evidence.
    """
    if not has_evidence(question):
        return None
    for rank, found in enumerate(found_texts(answer, 10), start=1):
        if any(is_about(found, piece) for piece in question.evidence):
            return 1 / rank
    return 0.0


def evidence_quoted(question: ExamQuestion, answer: Answer) -> float | None:
    """The mean share of each piece of evidence that stands in the draft, word for word."""
    if not has_evidence(question):
        return None
    shares = [text.coverage(piece, answer.draft) for piece in question.evidence]
    return sum(shares) / len(shares)


def answer_rouge_l(question: ExamQuestion, answer: Answer) -> float | None:
    """ROUGE-L (F1) of the draft against the gold answer, whatever was decided."""
    gold = question.answer if question.answerable else None
    return text.rouge_l(answer.draft, gold) if gold else None


def answer_f1(question: ExamQuestion, answer: Answer) -> float | None:
    """F1 of the draft's units against the gold answer's, in any order, whatever was decided."""
    gold = question.answer if question.answerable else None
    return text.overlap_f1(answer.draft, gold) if gold else None


def citation_exact(question: ExamQuestion, answer: Answer) -> float | None:
    """The share of all citations that are verbatim spans of a passage that was found."""
    del question
    if not answer.citations:
        return None
    texts = {passage.id: passage.text for passage in answer.passages}
    exact = [_is_exact(citation, texts) for citation in answer.citations]
    return sum(exact) / len(exact)


def answered(question: ExamQuestion, answer: Answer) -> float | None:
    """The share of all questions, answerable or not, that an answer was given to."""
    del question
    return float(answer.kind == "answer")


def selective_accuracy(question: ExamQuestion, answer: Answer) -> float | None:
    """Of the questions that an answer was given to, the share whose first citation hits.

    An answer to an unanswerable question is a miss.
    """
    hit = hits(question, answer)
    return None if hit is None or answer.kind != "answer" else float(hit)


def false_answer_rate(question: ExamQuestion, answer: Answer) -> float | None:
    """The share of the unanswerable questions that an answer was given to."""
    return None if question.answerable else float(answer.kind == "answer")


def ask_back_rate(question: ExamQuestion, answer: Answer) -> float | None:
    """The share of all questions that were asked back."""
    del question
    return float(answer.kind == "ask_back")


def brier(question: ExamQuestion, answer: Answer) -> float | None:
    """The mean squared distance of the confidence from 1 for a hit and 0 for a miss.

    Of all questions where that is known, answered or not (Brier 1950).
    """
    hit = hits(question, answer)
    return None if hit is None else (answer.confidence - hit) ** 2


def hits(question: ExamQuestion, answer: Answer) -> bool | None:
    """Whether the first citation's quote is about a piece of evidence: what confidence means.

    None where nobody knows: an answerable question whose evidence is not named.
    """
    if not question.answerable:
        return False
    if not question.evidence:
        return None
    first = answer.citations[:1]
    return any(is_about(citation.quote, piece) for citation in first for piece in question.evidence)


PER_QUESTION: dict[str, Metric] = {
    metric.__name__: metric
    for metric in (
        evidence_recall_at_1,
        evidence_recall_at_5,
        evidence_recall_at_10,
        evidence_mrr,
        evidence_quoted,
        answer_rouge_l,
        answer_f1,
        citation_exact,
        answered,
        selective_accuracy,
        false_answer_rate,
        ask_back_rate,
        brier,
    )
}

OVER_QUESTIONS = ("auroc", "ece", "latency_p50_ms", "latency_p95_ms")
"""Metrics that no single question has a value of; `statistic` defines them."""

METRICS = (*PER_QUESTION, *OVER_QUESTIONS)

LOWER_IS_BETTER = frozenset(
    {"false_answer_rate", "ask_back_rate", "brier", "ece", "latency_p50_ms", "latency_p95_ms"}
)


def mark(question: ExamQuestion, answer: Answer, *, latency_ms: float, group: str) -> Row:
    """The row of one question."""
    values = {name: metric(question, answer) for name, metric in PER_QUESTION.items()}
    return Row(
        question=question,
        answer=answer,
        latency_ms=latency_ms,
        group=group,
        hit=hits(question, answer),
        values={name: value for name, value in values.items() if value is not None},
    )


def sizes(rows: Sequence[Row], name: str) -> Floats:
    """How many items of the metric each question holds: its citations, or itself."""
    if name in ("auroc", "ece"):
        name = "brier"
    if name not in PER_QUESTION:
        return np.ones(len(rows))
    num_items = [len(row.answer.citations) if name == "citation_exact" else 1 for row in rows]
    return np.array([num * (name in row.values) for num, row in zip(num_items, rows, strict=True)])


def statistic(rows: Sequence[Row], name: str) -> Statistic:
    """The metric over these rows, for any weights of them.

    `auroc`: the chance that a hit has a higher confidence than a miss. `ece`: expected
    calibration error, the mean distance of confidence from the share of hits in five bins of
    equal width (Naeini 2015). `latency_p50_ms`, `latency_p95_ms`: of asking, as `sit` timed it.
    """
    known = sizes(rows, name).astype(np.float64)
    if name in PER_QUESTION:
        return bootstrap.mean(np.array([row.values.get(name, 0.0) for row in rows]), known)
    if name.startswith("latency_"):
        level = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95}[name]
        return bootstrap.quantile(np.array([row.latency_ms for row in rows]), level)
    confidence = np.clip([row.answer.confidence for row in rows], 0.0, 1.0)
    hit = np.array([float(row.hit or 0) for row in rows])
    if name == "auroc":
        return bootstrap.auroc(confidence, hit, known)
    return bootstrap.calibration_error(confidence, hit, known, NUM_BINS)


def score(rows: Sequence[Row], seed: int = SEED) -> dict[str, Score]:
    """Each metric that these rows can tell, with its 95 % percentile bootstrap interval."""
    names = [name for name in METRICS if sizes(rows, name).sum() > 0]
    if not names:
        return {}
    statistics = [statistic(rows, name) for name in names]
    groups = bootstrap.number_groups([row.group for row in rows])
    drawn = bootstrap.resample(statistics, groups, NUM_RESAMPLES, seed)
    everyone = np.ones((1, len(rows)))
    scores = {}
    for name, of, values in zip(names, statistics, drawn, strict=True):
        value = float(of(everyone)[0])
        if not np.isnan(value):
            low, high = np.nanquantile(values, (0.025, 0.975))
            count = int(sizes(rows, name).sum())
            scores[name] = Score(value=value, low=float(low), high=float(high), count=count)
    return scores


def _is_one_article(passage: Passage) -> bool:
    articles = [match.start() for match in _ARTICLE.finditer(passage.text)]
    if not articles:
        return bool(passage.headings and _ARTICLE.match(passage.headings[-1]))
    before = passage.text[: articles[0]].split("\n")
    return len(articles) == 1 and all(not line.strip() or line[0] == "#" for line in before)


def _is_exact(citation: Citation, texts: Mapping[str, str]) -> bool:
    passage = texts.get(citation.passage, "")
    return bool(citation.quote) and passage[citation.start : citation.end] == citation.quote
