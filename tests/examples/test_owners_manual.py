"""The example's promises: what is in it, and that its exam can be passed by reading it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flywheel.collect.dedupe import resolve
from flywheel.collect.pipeline import Collected, CollectSettings, collect_file
from flywheel.collect.read import scan
from flywheel.evaluate.exam import read_exam
from flywheel.evaluate.text import normalise
from flywheel.records import ExamQuestion

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual"


@pytest.fixture(scope="module")
def collected() -> list[Collected]:
    return [collect_file(file, CollectSettings()) for file in scan(str(EXAMPLE / "documents"))]


@pytest.fixture(scope="module")
def current(collected: list[Collected]) -> list[str]:
    """The normalised texts of the documents that are neither copies nor outdated."""
    verdicts = resolve([each.fingerprint for each in collected if each.fingerprint])
    kept = [
        each for each in collected if each.document and verdicts[each.document.id].fate == "kept"
    ]
    return [normalise("\n".join(part.text for part in each.passages)) for each in kept]


@pytest.fixture(scope="module")
def exam() -> list[ExamQuestion]:
    return read_exam(EXAMPLE / "exam.jsonl")


@pytest.fixture(scope="module")
def feedback() -> list[dict[str, Any]]:
    lines = (EXAMPLE / "feedback.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_documents_are_of_every_kind() -> None:
    files = [path for path in (EXAMPLE / "documents").rglob("*") if path.is_file()]
    assert len(files) >= 40
    assert {path.suffix for path in files} == {".md", ".html", ".docx", ".pdf", ".xlsx"}


def test_every_binary_has_its_source() -> None:
    binaries = {
        path.relative_to(EXAMPLE / "documents").as_posix()
        for path in (EXAMPLE / "documents").rglob("*")
        if path.suffix in (".docx", ".pdf", ".xlsx")
    }
    sources = (EXAMPLE / "sources").rglob("*.md")
    named = {path.relative_to(EXAMPLE / "sources").as_posix() for path in sources}
    assert {name.removesuffix(".md") for name in named} == binaries


def test_every_file_has_the_fate_that_it_was_written_for(collected: list[Collected]) -> None:
    verdicts = resolve([each.fingerprint for each in collected if each.fingerprint])
    fates = Counter(each.fate for each in verdicts.values())
    assert fates["superseded"] == 3
    assert fates["duplicate"] == 2
    failed = [each.path for each in collected if each.fate != "kept"]
    assert failed == ["en/service-bulletin.pdf"]


def test_half_of_the_exam_is_chinese(exam: list[ExamQuestion]) -> None:
    tags = Counter(tag for question in exam for tag in question.tags)
    assert (tags["en"], tags["zh"]) == (80, 80)


def test_fifty_questions_cannot_be_answered_and_half_of_those_nearly(
    exam: list[ExamQuestion],
) -> None:
    unanswerable = [question for question in exam if not question.answerable]
    assert len(unanswerable) == 50
    assert sum("near-miss" in question.tags for question in unanswerable) == 25
    assert all(question.evidence for question in exam if question.answerable)


def test_evidence_stands_in_a_current_document(
    exam: list[ExamQuestion], feedback: list[dict[str, Any]], current: list[str]
) -> None:
    evidence = [piece for question in exam for piece in question.evidence]
    evidence += [piece for line in feedback for piece in line.get("evidence", ())]
    missing = [piece for piece in evidence if not any(normalise(piece) in text for text in current)]
    assert missing == []


def test_feedback_has_two_hundred_lines_with_ids_of_their_own(
    feedback: list[dict[str, Any]],
) -> None:
    assert len(feedback) == len({line["id"] for line in feedback}) == 200
    kinds = {line["kind"] for line in feedback}
    assert kinds == {"up", "down", "edit", "rank", "bookmark", "delete", "flag", "cite"}


def test_no_exam_question_stands_in_the_feedback(
    exam: list[ExamQuestion], feedback: list[dict[str, Any]]
) -> None:
    asked = {normalise(line["question"]) for line in feedback}
    assert [question.id for question in exam if normalise(question.question) in asked] == []


def test_no_exam_question_shares_its_evidence_with_the_feedback(
    exam: list[ExamQuestion], feedback: list[dict[str, Any]]
) -> None:
    used = {normalise(piece) for line in feedback for piece in line.get("evidence", ())}
    shared = [q.id for q in exam if any(normalise(piece) in used for piece in q.evidence)]
    assert shared == []
