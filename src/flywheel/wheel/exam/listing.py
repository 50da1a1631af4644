"""The exam's questions as curators see them: the file's, and those that were drawn.

A question is shown to whoever may read all of its evidence; what has none says nothing of who may
know of it, and is shown to those alone who read everything. Not here: how questions change
(exam/questions.py), and how a version does on them (exam/card.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flywheel.evaluate.exam import Split, split_of
from flywheel.learn.feedback import normal_form
from flywheel.records import ExamQuestion
from flywheel.store import documents, exam_items, versions
from flywheel.store.exam_items import ExamItem
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.wheel import growth
from flywheel.wheel.evidence import MAX_LOOKED_UP, locate_all
from flywheel.wheel.exam import card as exam_card
from flywheel.wheel.exam import file as exam_file
from flywheel.wheel.exam.card import digest_of
from flywheel.wheel.exam.file import ExamLine
from flywheel.wheel.feedback import may_read

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace


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
