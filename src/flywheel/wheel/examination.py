"""What the versions of a workspace are examined with, and how often that was decided on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from flywheel.build.questions import SYNTHETIC
from flywheel.errors import SourceError
from flywheel.evaluate import metrics
from flywheel.evaluate.compare import ERROR_RATE, enough
from flywheel.evaluate.exam import Sitting, read_exam
from flywheel.records import ExamQuestion, to_json
from flywheel.search.index import PassageIndex, Reader
from flywheel.store import state
from flywheel.wheel import gate, stages
from flywheel.wheel.settings import ExamSettings
from flywheel.wheel.workspace import Workspace

SEED = 2
"""Of synthetic exams: not the one that training questions are drawn by."""

_DECISIONS = "gain_decisions"
_LATEST = "latest_exam"


def questions(workspace: Workspace, index: PassageIndex) -> list[ExamQuestion]:
    """The workspace's exam; one made from the documents, and marked so, where it has none.

    Raises:
        SourceError: the settings name a file that is not there.
        FileFormatError: a line of the file is not valid.
    """
    settings = workspace.settings.exam
    path = workspace.root / settings.file
    if path.is_file():
        return read_exam(path)
    if settings.file != ExamSettings().file:
        raise SourceError(f"{path}: no such file. Mend [exam] file in flywheel.toml.")
    trained = {each.question for each in stages.training_questions(index)}
    made = stages.make_questions(index, settings.num_synthetic, SEED)
    return [each for each in made if each.question not in trained]


def stale(champion: Sitting, challenger: Sitting, index: PassageIndex) -> frozenset[str]:
    """Questions whose evidence the champion found and the challenger's documents do not hold.

    A changed document must not be held against the version that carries it.
    """
    lost = [
        before.question
        for before, after in zip(champion.rows, challenger.rows, strict=True)
        if before.values.get("evidence_recall_at_10", 0.0)
        > after.values.get("evidence_recall_at_10", 0.0)
    ]
    return frozenset(
        question.id
        for question in lost
        if any(not _holds(index, piece) for piece in question.evidence)
    )


def _holds(index: PassageIndex, evidence: str) -> bool:
    hits = index.search(evidence, Reader(access=tuple(index.labels())), limit=5)
    return any(metrics.holds(hit.passage.text, evidence) for hit in hits)


def without(sitting: Sitting, ids: frozenset[str]) -> Sitting:
    """The sitting as it would have been without these questions."""
    rows = tuple(row for row in sitting.rows if row.question.id not in ids)
    return replace(sitting, rows=rows, metrics=metrics.score(rows)) if ids else sitting


def is_synthetic(exam: Sequence[ExamQuestion]) -> bool:
    """Whether the exam was made from the documents."""
    return all(SYNTHETIC in each.tags for each in exam)


def is_too_small(exam: Sequence[ExamQuestion]) -> bool:
    """Whether the documents gave fewer questions than could ever show that nothing is lost."""
    answerable = [each for each in exam if each.evidence]
    return is_synthetic(exam) and len(answerable) < enough(ERROR_RATE)


def with_notes(
    decision: gate.Decision, exam: Sequence[ExamQuestion], stale: frozenset[str] = frozenset()
) -> gate.Decision:
    """The decision, saying what kind of exam it stands on."""
    notes = []
    if stale:
        notes.append(
            f"{len(stale)} of {len(exam)} questions left out: the documents no longer hold "
            "their evidence"
        )
    if is_synthetic(exam):
        notes.append(
            f"the exam is synthetic: {len(exam)} questions made from the documents; "
            "exam.jsonl would ask what users ask"
        )
    return replace(decision, reasons=(*decision.reasons, *notes))


def was_latest(workspace: Workspace, exam: Sequence[ExamQuestion]) -> bool:
    """Whether the newest version was decided on by this exam, under the same rules.

    With another one, what was kept back gets another chance.
    """
    with workspace.database.read() as conn:
        return bool(state.get(conn, _LATEST) == _digest(exam, workspace.settings.gate))


def remember(conn: Connection, exam: Sequence[ExamQuestion], rules: gate.GateSettings) -> None:
    """Keeps what the newest version was decided on by."""
    state.put(conn, _LATEST, _digest(exam, rules))


def _digest(exam: Sequence[ExamQuestion], rules: gate.GateSettings) -> str:
    content = [rules.model_dump(mode="json"), *map(to_json, exam)]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def num_decisions(workspace: Workspace, exam: Sequence[ExamQuestion]) -> int:
    """How many decisions on a gain any of these questions has served for already."""
    with workspace.database.read() as conn:
        counts = state.get(conn, _DECISIONS) or {}
    return max((counts.get(_key(each), 0) for each in exam), default=0)


def count_decision(conn: Connection, exam: Sequence[ExamQuestion]) -> None:
    """Remembers that these questions served for a decision on a gain."""
    counts = state.get(conn, _DECISIONS) or {}
    for each in exam:
        counts[_key(each)] = counts.get(_key(each), 0) + 1
    state.put(conn, _DECISIONS, counts)


def _key(question: ExamQuestion) -> str:
    return hashlib.blake2b(question.question.encode(), digest_size=8).hexdigest()
