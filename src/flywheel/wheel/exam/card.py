"""How a version sat the exam: its card, and how it did on each question.

Kept in the transaction that keeps the version, so that a page need not let it sit again. Versions
from before have none, nor has one that an erasure made; `sit_again` gives it to the champion.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.build.questions import SYNTHETIC
from flywheel.evaluate.calibration import Bin, reliability
from flywheel.evaluate.exam import SPLITS, Sitting, split_of
from flywheel.evaluate.metrics import Row
from flywheel.evaluate.text import normalise
from flywheel.records import ExamQuestion, Passage, Score, from_json, to_json
from flywheel.store import erasures, exam_rows
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.wheel import answering, examination
from flywheel.wheel.answering import Question
from flywheel.wheel.evidence import locate_all

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.versions import Version
    from flywheel.wheel.stages import Progress
    from flywheel.wheel.workspace import Workspace

NUM_FOUND = 5
"""Passages whose ids are kept of each question, of the ten that were found."""
_MAX_HOLDERS = 5
"""Passages that hold one piece of evidence: more say nothing more."""

_STAGE, _CODE_VERSION, _FILE = "exam", 1, "questions.json"
"""The artifact of the questions that were made from the documents: their words are theirs."""


_rows: WeakKeyDictionary[Workspace, tuple[object, tuple[ExamRow, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """What was decided on the questions, counted."""

    answered: int = 0
    asked_back: int = 0
    abstained: int = 0
    hits: int = 0
    """Answered, and the first citation hits the evidence."""
    known: int = 0
    """Answered, and it is known whether it hits."""
    unanswerable: int = 0
    """Questions that the documents do not answer."""
    false_answers: int = 0
    """Those of them that were answered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a version's sitting came to."""

    at: str
    """When it sat. UTC, ISO 8601."""
    num_questions: int
    num_made: int
    """Those of them that were made from the documents."""
    exam: str = ""
    """Of the questions: two cards of the same exam have the same."""
    seconds: float
    metrics: Mapping[str, Score]
    metrics_by: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """By `en`, `zh` and `cross-lingual`."""
    decisions: Decisions = Decisions()
    bins: tuple[Bin, ...] = ()


def kept(workspace: Workspace, index: str, sitting: Sitting) -> Callable[[Connection, int], None]:
    """Makes ready what is kept of a sitting; the result writes it as a version's.

    Args:
        index: the key of the version's index.
    """
    questions = [row.question for row in sitting.rows]
    made = [each for each in questions if SYNTHETIC in each.tags]
    if made:
        _keep_made(workspace, index, made)
    card = to_json(_card(sitting))
    rows = list(map(_row, sitting.rows, _holders(workspace, sitting.rows)))
    return lambda conn, version: exam_rows.put_all(conn, version, card, rows)


def sit_again(workspace: Workspace, progress: Progress = lambda *_: None) -> tuple[int, Card]:
    """The champion sits the workspace's exam as it is now. It decides nothing, and spends none of
    the error that decisions share. Gives its number and its card.

    Raises:
        WorkspaceError: no turn has made a version yet.
        WorkspaceBusy: an add, a turn or an erase is running.
    """
    with workspace.exclusive():
        version = workspace.champion()
        exam = examination.questions(workspace, workspace.assistant(version).index)
        assistant, _ = examination.unprepared(workspace, version, exam)
        sitting = examination.evaluate(exam, assistant, workspace, progress)
        write = kept(workspace, version.bundle["index"], sitting)
        workspace.database.write(lambda conn: write(conn, version.number))
    return version.number, _card(sitting)


def card_of(conn: Connection, version: int) -> Card | None:
    """How a version sat the exam last; None where nothing of it is kept."""
    found = exam_rows.card(conn, version)
    return None if found is None else from_json(Card, found)


def rows_of(workspace: Workspace, conn: Connection, version: int) -> Sequence[ExamRow]:
    """How a version did on each question: kept in memory, until it sits again or something is
    erased. Reading a thousand rows takes as long as a page may."""
    found = exam_rows.card(conn, version)
    state = (version, found and found["at"], found and found["exam"], erasures.count(conn))
    kept = _rows.get(workspace)
    if kept is None or kept[0] != state:
        kept = _rows[workspace] = (state, tuple(exam_rows.list_rows(conn, version)))
    return kept[1]


def made_of(
    workspace: Workspace, version: Version, rows: Sequence[ExamRow]
) -> list[ExamQuestion] | None:
    """The questions that were made from the documents for a sitting; None where an erasure took
    them, or where there were none."""
    keys = sorted(each.question for each in rows if each.made)
    place = workspace.artifacts.find(_STAGE, _made_key(workspace, version.bundle["index"], keys))
    if not keys or place is None:
        return None
    return [
        from_json(ExamQuestion, each)
        for each in json.loads((place / _FILE).read_text(encoding="utf-8"))
    ]


def passages(
    workspace: Workspace, ids: Sequence[str], labels: Sequence[str] | None
) -> dict[str, Passage]:
    """Those of these passages that stand in the champion's index, and that whoever reads these
    labels may see as of now.

    Raises:
        WorkspaceError: no turn has made a version yet.
    """
    asked = Question(text="", labels=None if labels is None else tuple(labels))
    stands = answering.standing(workspace, asked)
    index = workspace.assistant(stands.version, stands.num_erasures).index
    return {each.id: each for each in index.fetch(list(ids)) if stands.reader.sees(each)}


def digest_of(question: ExamQuestion) -> str:
    """Of what a question asks and expects; tags are no matter."""
    told = [question.question, question.answer, list(question.evidence), question.answerable]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


def _card(sitting: Sitting) -> Card:
    rows = sitting.rows
    digests = sorted(digest_of(row.question) for row in rows)
    return Card(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        num_questions=len(rows),
        num_made=sum(SYNTHETIC in row.question.tags for row in rows),
        exam=hashlib.blake2b("".join(digests).encode(), digest_size=8).hexdigest(),
        seconds=round(sitting.seconds, 3),
        metrics=sitting.metrics,
        metrics_by={
            each: sitting.metrics_by[each] for each in SPLITS if each in sitting.metrics_by
        },
        decisions=_decisions(rows),
        bins=reliability(rows),
    )


def _decisions(rows: Sequence[Row]) -> Decisions:
    kinds = Counter(row.answer.kind for row in rows)
    answered = [row for row in rows if row.answer.kind == "answer"]
    return Decisions(
        answered=kinds["answer"],
        asked_back=kinds["ask_back"],
        abstained=kinds["abstain"],
        hits=sum(bool(row.hit) for row in answered),
        known=sum(row.hit is not None for row in answered),
        unanswerable=sum(not row.question.answerable for row in rows),
        false_answers=sum(not row.question.answerable for row in answered),
    )


def _row(row: Row, gold: tuple[tuple[str, ...], ...]) -> ExamRow:
    question, answer = row.question, row.answer
    return ExamRow(
        question=key_of(question.id),
        digest=digest_of(question),
        language=split_of(question),
        made=SYNTHETIC in question.tags,
        answerable=question.answerable,
        kind=answer.kind,
        confidence=round(answer.confidence, 4),
        hit=row.hit,
        values={name: round(value, 4) for name, value in row.values.items()},
        num_citations=len(answer.citations),
        group=key_of(row.group),
        latency_ms=round(row.latency_ms, 1),
        found=tuple(each.id for each in answer.passages[:NUM_FOUND]),
        gold=gold,
    )


def _holders(workspace: Workspace, rows: Sequence[Row]) -> list[tuple[tuple[str, ...], ...]]:
    """Of each question's pieces of evidence the passages that hold it.

    Looked for among what was found first, since reading all passages for each takes a minute with
    a hundred thousand of them.
    """
    held = {
        piece: tuple(
            each.id for each in row.answer.passages if normalise(piece) in normalise(each.text)
        )
        for row in rows
        for piece in row.question.evidence
    }
    unfound = [piece for piece, ids in held.items() if not ids]
    located = locate_all(workspace, [[piece] for piece in unfound])
    held |= {piece: at.passages for piece, at in zip(unfound, located, strict=True)}
    return [tuple(held[each][:_MAX_HOLDERS] for each in row.question.evidence) for row in rows]


def _keep_made(workspace: Workspace, index: str, made: Sequence[ExamQuestion]) -> None:
    def make(folder: Path) -> None:
        told = json.dumps([to_json(each) for each in made], ensure_ascii=False)
        (folder / _FILE).write_text(told, encoding="utf-8")

    keys = sorted(key_of(each.id) for each in made)
    workspace.artifacts.build(_STAGE, _made_key(workspace, index, keys), make)


def _made_key(workspace: Workspace, index: str, keys: Sequence[str]) -> str:
    inputs = {"index": index, "questions": list(keys)}
    return workspace.artifacts.key(_STAGE, _CODE_VERSION, inputs)
