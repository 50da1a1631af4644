"""Exams: reading one, sitting it, writing down what was answered.

An exam is held out: nothing here may reach what is trained on. How an exam grows and which
questions are near-duplicates is decided elsewhere; this takes the groups as given.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from flywheel.errors import FileFormatError, SourceError
from flywheel.evaluate import metrics, text
from flywheel.evaluate.metrics import Row
from flywheel.lines import read_lines
from flywheel.records import Answer, ExamQuestion, Score, to_json

Split: TypeAlias = Literal["en", "zh", "cross-lingual"]

MIN_SPLIT = 5
"""Questions that share a tag before the tag is reported apart: an interval over fewer says
nothing."""

SPLITS: tuple[Split, ...] = ("en", "zh", "cross-lingual")


class ExamLine(BaseModel):
    """One line of an exam file as users write it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str | int
    question: str = Field(pattern=r"\S")
    answer: str | None = None
    evidence: list[str] | None = None
    answerable: bool = True
    tags: list[str] | None = None

    def to_question(self) -> ExamQuestion:
        """The line as the value that everything else knows."""
        return ExamQuestion(
            id=str(self.id),
            question=self.question.strip(),
            answer=(self.answer or "").strip() or None,
            evidence=tuple(self.evidence or ()),
            answerable=self.answerable,
            tags=tuple(self.tags or ()),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """One exam, sat once by one version."""

    rows: tuple[Row, ...]
    metrics: Mapping[str, Score]
    metrics_by: Mapping[str, Mapping[str, Score]]
    """By `en`, `zh` and `cross-lingual`, no question in two of these; and by every other tag
    that at least five questions share."""
    seconds: float


def read_exam(path: Path | str) -> list[ExamQuestion]:
    """All questions of an exam file, or none: the first wrong line stops the reading.

    Raises:
        SourceError: there is no such file, or it holds no question.
        FileFormatError: a line is not valid.
    """
    questions: list[ExamQuestion] = []
    lines: dict[str, int] = {}
    for number, line in read_lines(path, ExamLine):
        question = line.to_question()
        for place, piece in enumerate(question.evidence, start=1):
            if not text.normalise(piece):
                raise FileFormatError(path, number, f'"evidence" {place} holds no words')
        if question.id in lines:
            problem = f'id "{question.id}" is taken by line {lines[question.id]}'
            raise FileFormatError(path, number, problem)
        lines[question.id] = number
        questions.append(question)
    if not questions:
        raise SourceError(f"{path} holds no question. An exam has one JSON object a line.")
    return questions


def sit(
    questions: Sequence[ExamQuestion],
    ask: Callable[[str], Answer],
    groups: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sitting:
    """Asks every question in turn and scores what comes back.

    Args:
        groups: the near-duplicate group of each question id; without it, questions that are
            equal in normal form are one group.
        progress: called after each question with how many are done and how many there are.
    """
    started = time.perf_counter()
    rows: list[Row] = []
    for question in questions:
        before = time.perf_counter()
        answer = ask(question.question)
        latency_ms = (time.perf_counter() - before) * 1000
        group = (groups or {}).get(question.id) or text.normalise(question.question)
        rows.append(metrics.mark(question, answer, latency_ms=latency_ms, group=group))
        if progress:
            progress(len(rows), len(questions))
    return scored(rows, time.perf_counter() - started)


def scored(rows: Sequence[Row], seconds: float) -> Sitting:
    """A sitting of these questions."""
    return Sitting(
        rows=tuple(rows),
        metrics=metrics.score(rows),
        metrics_by={name: metrics.score(part) for name, part in _parts(rows).items()},
        seconds=seconds,
    )


def split_of(question: ExamQuestion) -> Split:
    """Whether a question is English, Chinese, or asked in one and answered only in the other.

    Its tags decide; without a tag of these three, its own words and those of its evidence.
    """
    for split in reversed(SPLITS):
        if split in question.tags:
            return split
    chinese = text.is_chinese(question.question)
    others = [text.is_chinese(piece) != chinese for piece in question.evidence]
    if question.answerable and others and all(others):
        return "cross-lingual"
    return "zh" if chinese else "en"


def write_answers(path: Path | str, sitting: Sitting) -> None:
    """One JSON line a question: what was answered, what was cited, what was found."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for row in sitting.rows:
            file.write(json.dumps(_answer_line(row), ensure_ascii=False) + "\n")
    part.replace(path)


def _parts(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each split, and of each other tag that enough of them share."""
    parts: dict[str, list[Row]] = {split: [] for split in SPLITS}
    tagged: dict[str, list[Row]] = {}
    for row in rows:
        parts[split_of(row.question)].append(row)
        for tag in sorted(set(row.question.tags) - set(SPLITS)):
            tagged.setdefault(tag, []).append(row)
    parts = {split: part for split, part in parts.items() if part}
    return parts | {tag: part for tag, part in tagged.items() if len(part) >= MIN_SPLIT}


def _answer_line(row: Row) -> dict[str, Any]:
    answer = row.answer
    return {
        "id": row.question.id,
        "answer": answer.answer,
        "draft": answer.draft,
        "kind": answer.kind,
        "confidence": answer.confidence,
        "citations": [to_json(citation) for citation in answer.citations],
        "passages": [{"id": found.id, "text": found.text} for found in answer.passages[:10]],
    }
