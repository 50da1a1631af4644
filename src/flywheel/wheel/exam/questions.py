"""The exam's questions as curators change them: checked, and written at once to the owner's file
and to the audit log.

Nobody overwrites what he has not seen, nor changes what he may not read. Not here: what is shown
to whom (exam/listing.py), and how drawn questions get their answers (growth.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.errors import FlywheelError, UsageError
from flywheel.evaluate import text
from flywheel.learn import groups
from flywheel.learn.feedback import normal_form
from flywheel.records import ExamQuestion
from flywheel.store import audit, corrections
from flywheel.store.exam_rows import key_of
from flywheel.wheel.evidence import locate_all
from flywheel.wheel.exam import file as exam_file
from flywheel.wheel.exam.file import Changed, ExamLine
from flywheel.wheel.exam.listing import Held, find, held_of, listing
from flywheel.wheel.feedback import is_readable
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


@contextmanager
def _overtaking(workspace: Workspace, key: str, by: Caller) -> Iterator[None]:
    """Tells who was first, and what the question is now."""
    try:
        yield
    except Changed:
        held = find(workspace, key, by.access)
        is_hidden = held is None and find(workspace, key, None) is not None
        with workspace.database.read() as conn:
            acts = [act for each in ACTS if (act := audit.latest(conn, each, key))]
        act = max(acts, key=lambda act: act.at, default=None)
        raise Overtaken(held, None if is_hidden else act) from None


def _require_readable(workspace: Workspace, key: str, by: Caller) -> None:
    """What may not be read is not there, for whoever would change it."""
    if by.access is not None and find(workspace, key, by.access) is None:
        raise Changed


def _line(workspace: Workspace, key: str, seen: str) -> ExamLine:
    """The line of a question, as it was seen."""
    for line in exam_file.lines(workspace):
        if key_of(line.question.id) == key and line.digest == seen:
            return line
    raise Changed


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
