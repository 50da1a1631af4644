"""What the versions of a workspace are examined with, and how often that was decided on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flywheel.build.questions import SYNTHETIC
from flywheel.errors import SourceError
from flywheel.evaluate import metrics, text
from flywheel.evaluate.compare import ERROR_RATE, enough
from flywheel.evaluate.exam import Sitting, read_exam, scored, sit
from flywheel.learn.feedback import normal_form
from flywheel.learn.groups import group
from flywheel.records import ExamQuestion, to_json
from flywheel.search.index import PassageIndex
from flywheel.store import state, versions
from flywheel.store.versions import Version
from flywheel.wheel import gate, growth, stages
from flywheel.wheel.reasons import say
from flywheel.wheel.settings import ExamSettings, GateSettings
from flywheel.wheel.stages import Progress
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from flywheel.answer.assistant import Assistant

SUFFICIENT = 60
"""Questions of users by which alone versions are judged: as many as can rule out a loss of 0.05.
With fewer, those that are made from the documents stay beside them."""

SEED = 2
"""Of synthetic exams: not the one that training questions are drawn by."""

_DECISIONS = "gain_decisions"
TRIED = "writers_tried"
"""Which writers were decided on, each by a digest of it, the language's questions and the rules."""
_JUDGED = "judged_by"
"""By the number of a version, the digest of the exam and the rules that decided on it."""


def questions(workspace: Workspace, index: PassageIndex) -> list[ExamQuestion]:
    """The workspace's exam; one made from the documents, and marked so, where it has none.

    Raises:
        SourceError: the settings name a file that is not there.
        FileFormatError: a line of the file is not valid.
    """
    settings = workspace.settings.exam
    questions = own(workspace)
    if (workspace.root / settings.file).is_file() or len(questions) >= SUFFICIENT:
        return questions
    trained = {each.question for each in stages.training_questions(index)}
    made = stages.make_questions(index, settings.num_synthetic, SEED)
    return [*questions, *(each for each in made if each.question not in trained)]


def own(workspace: Workspace) -> list[ExamQuestion]:
    """The questions of the file that the settings name, and those that grew.

    Raises:
        SourceError: the settings name a file that is not there.
        FileFormatError: a line of the file is not valid.
    """
    settings = workspace.settings.exam
    path = workspace.root / settings.file
    if not path.is_file() and settings.file != ExamSettings().file:
        raise SourceError(f"{path}: no such file. Mend [exam] file in flywheel.toml.")
    written = read_exam(path) if path.is_file() else []
    known = {each.id for each in written} | {normal_form(each.question) for each in written}
    with workspace.database.read() as conn:
        grown = growth.grown(conn)
    return [
        *written,
        *(each for each in grown if known.isdisjoint((each.id, normal_form(each.question)))),
    ]


def groups(exam: Sequence[ExamQuestion]) -> dict[str, str]:
    """The near-duplicate group of each question id."""
    numbers = group([], [each.question for each in exam]).exam
    return {each.id: str(number) for each, number in zip(exam, numbers, strict=True)}


def evaluate(
    exam: Sequence[ExamQuestion], assistant: Assistant, workspace: Workspace, progress: Progress
) -> Sitting:
    """One version sits the exam, as a reader who sees everything; no correction answers for it.

    Raises:
        FlywheelError: an engine that words its answers failed: that says nothing of the version.
    """
    reader = workspace.reader()
    assistant = assistant.strict()
    return sit(
        exam,
        lambda question: assistant.ask(question, reader),
        groups=groups(exam),
        progress=lambda done, of: progress("exam", done, of),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What a version learned from that an exam asks nearly the same as."""

    learned: frozenset[str]
    """The ids of what it learned from."""
    num_questions: int
    """Of the exam."""


def overlap(assistant: Assistant, exam: Sequence[ExamQuestion]) -> Overlap:
    """What a version has learned from near-duplicates of these questions."""
    learned = assistant.ranker.questions if assistant.ranker else ()
    joined = group([each.question for each in learned], [each.question for each in exam])
    both = joined.overlapping
    return Overlap(
        learned=frozenset(
            each.id for each, number in zip(learned, joined.training, strict=True) if number in both
        ),
        num_questions=sum(number in both for number in joined.exam),
    )


def unprepared(
    workspace: Workspace, version: Version, exam: Sequence[ExamQuestion]
) -> tuple[Assistant, int]:
    """A version as it sits the workspace's exam, and how much of what it learned is switched off.

    What was learned before a question joined the exam must not answer it.
    """
    assistant = workspace.assistant(version)
    learned = overlap(assistant, exam).learned
    if not learned or assistant.ranker is None:
        return assistant, 0
    assistant = workspace.assemble(version.bundle, version.number)
    assert assistant.ranker is not None
    assistant.ranker = assistant.ranker.without(learned)
    return assistant, len(learned)


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
    hits = index.search(evidence, index.everyone, limit=5)
    # Together, as `evidence_recall` counts it: what is split elsewhere now is still there.
    return text.coverage(evidence, *(hit.passage.text for hit in hits)) >= metrics.FOUND


def without(sitting: Sitting, ids: frozenset[str]) -> Sitting:
    """The sitting as it would have been without these questions."""
    rows = [row for row in sitting.rows if row.question.id not in ids]
    return scored(rows, sitting.seconds) if ids else sitting


def is_synthetic(exam: Sequence[ExamQuestion]) -> bool:
    """Whether a part of the exam was made from the documents, or was to be."""
    return not exam or any(SYNTHETIC in each.tags for each in exam)


def is_too_small(exam: Sequence[ExamQuestion]) -> bool:
    """Whether the documents gave fewer questions than could ever show that nothing is lost."""
    answerable = groups([each for each in exam if each.evidence])
    return is_synthetic(exam) and len(set(answerable.values())) < enough(ERROR_RATE)


def with_notes(
    decision: gate.Decision,
    exam: Sequence[ExamQuestion],
    stale: frozenset[str] = frozenset(),
    num_switched_off: int = 0,
) -> gate.Decision:
    """The decision, saying what kind of exam it stands on."""
    notes = []
    if stale:
        notes.append(say("stale", count=len(stale), total=len(exam)))
    if num_switched_off:
        notes.append(say("switched_off", count=num_switched_off))
    num_made = sum(SYNTHETIC in each.tags for each in exam)
    if num_made == len(exam) and exam:
        notes.append(say("synthetic", count=num_made))
    elif num_made:
        share = f"{num_made / len(exam):.0%}"
        notes.append(say("partly_synthetic", percent=share, count=num_made))
    return replace(decision, reasons=(*decision.reasons, *notes))


def judged_by(conn: Connection, exam: Sequence[ExamQuestion], rules: GateSettings) -> list[Version]:
    """The versions that were decided on by this exam and these rules, the newest first.

    With another exam, what was kept back gets another chance.
    """
    digest = _digest(exam, rules)
    judged = state.get(conn, _JUDGED) or {}
    return [
        each
        for each in reversed(versions.list_versions(conn))
        if judged.get(str(each.number)) == digest and not each.erased
    ]


def forget(conn: Connection) -> None:
    """Lets whatever was judged be examined again, beside a champion that no decision was about."""
    state.remove(conn, _JUDGED)
    state.remove(conn, TRIED)


def remember(
    conn: Connection, version: int, exam: Sequence[ExamQuestion], rules: GateSettings
) -> None:
    """Keeps what a version was decided on by."""
    judged = state.get(conn, _JUDGED) or {}
    state.put(conn, _JUDGED, judged | {str(version): _digest(exam, rules)})


def _digest(exam: Sequence[ExamQuestion], rules: GateSettings) -> str:
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
    # Another comma makes no new question, on which all might be tried anew.
    return hashlib.blake2b(normal_form(question.question).encode(), digest_size=8).hexdigest()
