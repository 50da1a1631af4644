"""The exam's questions as curators see and change them: the file's, and those that were drawn.

A question is shown to whoever may read all of its evidence; what has none says nothing of who may
know of it, and is shown to those alone who read everything. Changes are checked, written to the
owner's file and to the audit log at once. Not here: how drawn questions get their answers
(growth.py), and how a version does on them (exam_card.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flywheel.errors import FlywheelError, UsageError
from flywheel.evaluate import text
from flywheel.evaluate.exam import Split, split_of
from flywheel.learn import groups
from flywheel.learn.feedback import normal_form
from flywheel.records import ExamQuestion
from flywheel.store import audit, corrections, documents, exam_items, versions
from flywheel.store.exam_items import ExamItem
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.wheel import exam_card, exam_file, growth
from flywheel.wheel.evidence import MAX_LOOKED_UP, locate_all
from flywheel.wheel.exam_card import digest_of
from flywheel.wheel.exam_file import ExamLine
from flywheel.wheel.feedback import is_readable, may_read
from flywheel.wheel.keys import record

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.audit import Act
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

ACTS = ("exam.add", "exam.edit", "exam.delete")
"""As the audit log names them; the target is the question's key."""

MAX_COMPARED = 20_000
"""Corrections, the newest ones, that a question is compared with: a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A question of the exam."""

    key: str
    question: ExamQuestion
    language: Split
    content: str
    """Of what it asks and expects: `digest_of`."""
    digest: str = ""
    """Of its line in the file; empty where it was drawn, and is changed in the review."""

    @property
    def is_drawn(self) -> bool:
        """Whether users asked it, and a curator answered."""
        return not self.digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The exam as somebody may see it."""

    questions: tuple[Held, ...]
    num_hidden: int
    """Those that he may not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What a curator writes."""

    question: str
    answer: str = ""
    evidence: tuple[str, ...] = ()
    answerable: bool = True
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """What asks nearly the same as a question."""

    num_learned: int
    """Corrections: switched off while the exam is sat, and left out of what is learned next."""
    exam: tuple[Held, ...]
    """Others of the exam: with it they count as one."""


class Refused(FlywheelError):
    """A question cannot stand in the exam so."""

    def __init__(self, code: str, message: str, place: int = 0) -> None:
        """
        Args:
            code: what is wrong, for whoever says it in other words.
            place: which piece of evidence is meant, from 1; 0 where none is.
        """
        super().__init__(message)
        self.code, self.place = code, place


class Overtaken(FlywheelError):
    """Somebody else was first: the question is not what was seen any more."""

    def __init__(self, held: Held | None, act: Act | None) -> None:
        """
        Args:
            held: as it is now; None where it is gone.
            act: who changed it and when, where it was not changed in the file itself.
        """
        super().__init__("Somebody else changed this question meanwhile.")
        self.held, self.act = held, act


def listing(workspace: Workspace, labels: Sequence[str] | None) -> Listing:
    """The exam's questions in the order of the file, those that were drawn last.

    Args:
        labels: what whoever looks may read; None is everything.

    Raises:
        FileFormatError: a line of the file is not valid.
        SourceError: the file cannot be read, or holds nothing.
    """
    every = _every(workspace)
    shown = every if labels is None else readable(workspace, every, labels)
    return Listing(questions=tuple(shown), num_hidden=len(every) - len(shown))


def find(workspace: Workspace, key: str, labels: Sequence[str] | None) -> Held | None:
    """The question of that key, if there is one that these labels may read."""
    found = [each for each in _every(workspace) if each.key == key]
    shown = found if labels is None else readable(workspace, found, labels)
    return next(iter(shown), None)


def drawn(workspace: Workspace) -> list[ExamItem]:
    """The questions that were drawn from what users asked, the one asked last first."""
    with workspace.database.read() as conn:
        return exam_items.list_items(conn)[::-1]


def readable(
    workspace: Workspace,
    questions: Sequence[Held],
    labels: Sequence[str],
    version: int | None = None,
) -> list[Held]:
    """Those of the questions all of whose evidence these labels may read, as of now.

    Where the evidence stands was looked up when the exam was sat; of questions that are newer a
    few are looked up at once, and the others wait for the next sitting.

    Args:
        version: whose sitting; None is the champion's.
    """
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        number = version or (champion.number if champion else 0)
        rows = exam_card.rows_of(workspace, conn, number)
        sat = {(each.question, each.digest): each for each in rows}
        asked = [each for each in questions if each.question.evidence]
        known = {each.key: sat.get((each.key, each.content)) for each in asked}
        access = _access(conn, [each for each in known.values() if each])
    new = [each for each in asked if known[each.key] is None][:MAX_LOOKED_UP]
    located = locate_all(workspace, [each.question.evidence for each in new], labels)
    looked_up = {each.key for each, at in zip(new, located, strict=True) if not at.unfound}
    return [
        each
        for each in asked
        if each.key in looked_up
        or ((row := known[each.key]) is not None and _is_open(row, access, labels))
    ]


def add(workspace: Workspace, draft: Draft, by: Caller) -> Held:
    """Writes a new question into the exam's file.

    Raises:
        Refused: it cannot stand there so.
        FileFormatError: a line of the file is not valid.
        StoreError: the disk does not take it.
    """
    question = _checked(workspace, draft, by, id=f"q-{uuid.uuid4().hex[:12]}")

    def write(conn: Connection) -> None:
        _refuse_twins(exam_file.lines(workspace), question)
        record(conn, by, "exam.add", key_of(question.id))
        exam_file.put(workspace, question, None)

    workspace.database.write(write)
    return _require(workspace, key_of(question.id))


def edit(workspace: Workspace, key: str, draft: Draft, seen: str, by: Caller) -> Held:
    """Writes a question anew.

    Args:
        seen: the digest of the line that was changed.

    Raises:
        Overtaken: somebody changed it meanwhile.
        Refused: it cannot stand in the exam so.
        StoreError: the disk does not take it.
    """
    with _overtaking(workspace, key, by):
        id = _line(workspace, key, seen).question.id
        _require_readable(workspace, key, by)
        question = _checked(workspace, draft, by, id)

        def write(conn: Connection) -> None:
            line = _line(workspace, key, seen)
            _refuse_twins(exam_file.lines(workspace), question)
            record(conn, by, "exam.edit", key)
            exam_file.put(workspace, question, line)

        workspace.database.write(write)
    return _require(workspace, key)


def delete(workspace: Workspace, key: str, seen: str, by: Caller) -> None:
    """Takes a question out of the exam's file.

    Args:
        seen: the digest of the line that is to go.

    Raises:
        Overtaken: somebody changed it meanwhile.
        UsageError: it is the last one of a file that the settings name.
        StoreError: the disk does not take it.
    """

    def write(conn: Connection) -> None:
        line = _line(workspace, key, seen)
        record(conn, by, "exam.delete", key)
        exam_file.remove(workspace, line)

    with _overtaking(workspace, key, by):
        _require_readable(workspace, key, by)
        workspace.database.write(write)


def near(workspace: Workspace, question: str, labels: Sequence[str] | None, key: str = "") -> Near:
    """What asks nearly the same: corrections that are in force or were learned, and questions of
    the exam, as far as these labels may read them.

    Args:
        key: of the question itself, where it stands in the exam already.
    """
    with workspace.database.read() as conn:
        entries = [each.correction for each in corrections.entries_in_force(conn)][-MAX_COMPARED:]
    learned = [each.question for each in entries if is_readable(each, labels)]
    listed = listing(workspace, labels).questions
    others = [each for each in listed if each.key != key]
    found = groups.near(question, [*learned, *(each.question.question for each in others)])
    return Near(
        num_learned=sum(place < len(learned) for place in found),
        exam=tuple(others[place - len(learned)] for place in found if place >= len(learned)),
    )


def _every(workspace: Workspace) -> list[Held]:
    """The file's questions, and the drawn ones that have their answers: `examination.own`."""
    lines = exam_file.lines(workspace)
    with workspace.database.read() as conn:
        grown = growth.grown(conn)
    held = _held_lines(lines)
    if not grown:
        return list(held)
    known = {line.question.id for line in lines}
    known |= {normal_form(line.question.question) for line in lines}
    new = (each for each in grown if known.isdisjoint((each.id, normal_form(each.question))))
    return [*held, *map(held_of, new)]


@lru_cache(maxsize=4)
def _held_lines(lines: tuple[ExamLine, ...]) -> tuple[Held, ...]:
    return tuple(held_of(line.question, line.digest) for line in lines)


def held_of(question: ExamQuestion, digest: str = "") -> Held:
    """A question as it is shown."""
    return Held(
        key=key_of(question.id),
        question=question,
        language=split_of(question),
        content=digest_of(question),
        digest=digest,
    )


def _access(conn: Connection, rows: Sequence[ExamRow]) -> dict[str, tuple[str, ...]]:
    ids = {id for row in rows for piece in row.gold for id in piece}
    return documents.access_of_passages(conn, sorted(ids))


def _is_open(row: ExamRow, access: Mapping[str, Sequence[str]], labels: Sequence[str]) -> bool:
    return bool(row.gold) and all(
        any(id in access and may_read(labels, access[id]) for id in piece) for piece in row.gold
    )


class _Changed(FlywheelError):
    """A line is not the one that was seen."""


@contextmanager
def _overtaking(workspace: Workspace, key: str, by: Caller) -> Iterator[None]:
    """Tells who was first, and what the question is now."""
    try:
        yield
    except _Changed:
        held = find(workspace, key, by.access)
        is_hidden = held is None and find(workspace, key, None) is not None
        with workspace.database.read() as conn:
            acts = [act for each in ACTS if (act := audit.latest(conn, each, key))]
        act = max(acts, key=lambda act: act.at, default=None)
        raise Overtaken(held, None if is_hidden else act) from None


def _require_readable(workspace: Workspace, key: str, by: Caller) -> None:
    """What may not be read is not there, for whoever would change it."""
    if by.access is not None and find(workspace, key, by.access) is None:
        raise _Changed


def _line(workspace: Workspace, key: str, seen: str) -> ExamLine:
    """The line of a question, as it was seen."""
    for line in exam_file.lines(workspace):
        if key_of(line.question.id) == key and line.digest == seen:
            return line
    raise _Changed


def _require(workspace: Workspace, key: str) -> Held:
    """A question of the file.

    Raises:
        UsageError: there is none of that key.
    """
    for line in exam_file.lines(workspace):
        if key_of(line.question.id) == key:
            return held_of(line.question, line.digest)
    raise UsageError("There is no such question in the exam's file.")


def _checked(workspace: Workspace, draft: Draft, by: Caller, id: str) -> ExamQuestion:
    """The draft as a question of the exam.

    Raises:
        Refused: it says nothing, or its evidence stands in no document that the curator may read.
    """
    question = ExamQuestion(
        id=id,
        question=_clean(draft.question),
        answer=_clean(draft.answer) or None,
        evidence=tuple(filter(None, map(_clean, draft.evidence))),
        answerable=draft.answerable,
        tags=tuple(dict.fromkeys(filter(None, map(_clean, draft.tags)))),
    )
    for code, message, place in _problems(question):
        raise Refused(code, message, place)
    [located] = locate_all(workspace, [question.evidence], by.access)
    for place in located.unfound:
        raise Refused(
            "unfound", f"Evidence {place} stands in no current document; copy it from there.", place
        )
    return question


def _clean(written: str) -> str:
    """Without what no file of UTF-8 holds, in one way of ending lines."""
    return written.encode("utf-8", "replace").decode().replace("\r\n", "\n").strip()


def _problems(question: ExamQuestion) -> Iterator[tuple[str, str, int]]:
    if not text.normalise(question.question):
        yield "no_question", "Write the question.", 0
    for place, piece in enumerate(question.evidence, start=1):
        if not text.normalise(piece):
            yield "no_words", f"Evidence {place} holds no words.", place
    if not question.answerable and (question.answer or question.evidence):
        yield "not_answerable", "It is not answerable, and has an answer.", 0
    if question.answerable and not (question.answer or question.evidence):
        yield "no_gold", "Give its evidence, or at least an answer.", 0


def _refuse_twins(lines: Sequence[ExamLine], question: ExamQuestion) -> None:
    form = normal_form(question.question)
    for each in lines:
        if each.question.id != question.id and normal_form(each.question.question) == form:
            raise Refused("twin", "The exam asks this already.")
