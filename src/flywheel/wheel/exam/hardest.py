"""The exam's hardest questions: what a version did not find, or got wrong, the worst first.

Told from the rows that were kept when it sat, so that nothing is asked again; only the draft of a
question that somebody opens is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.records import Answer, ExamQuestion, Passage
from flywheel.store import exam_rows
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.wheel import answering, examination
from flywheel.wheel.answering import Question
from flywheel.wheel.exam import card as exam_card
from flywheel.wheel.exam.listing import Held, held_of, listing, readable

if TYPE_CHECKING:
    from flywheel.store.versions import Version
    from flywheel.wheel.workspace import Workspace

NUM_SHOWN = 3
"""Passages that are shown of what was found instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hard:
    """A question that a version did badly on."""

    held: Held
    row: ExamRow
    found: tuple[Passage, ...] = ()
    """The first passages that it found, as far as they may be seen now."""
    gold: tuple[tuple[str, ...], ...] = ()
    """Of each piece of evidence the ids of passages that may be looked at."""

    @property
    def rank(self) -> int | None:
        """The place of the first passage that is about the evidence; None where none of ten is, or
        where there is no evidence."""
        value = self.row.values.get("evidence_mrr", 0.0)
        return round(1 / value) if value else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardest:
    """A page of them."""

    questions: tuple[Hard, ...]
    num_hard: int
    """All that are hard and fit the filter."""
    num_changed: int
    """Questions that were changed or deleted since the version sat, and are not shown."""
    num_hidden: int
    """Those whose evidence whoever looks may not read."""
    tags: tuple[str, ...]
    """To filter by."""


def hardest(
    workspace: Workspace,
    version: Version,
    labels: Sequence[str] | None,
    *,
    language: str = "",
    tag: str = "",
    skip: int = 0,
    limit: int = 10,
) -> Hardest:
    """The questions that a version did worst on.

    Args:
        labels: what whoever looks may read; None is everything.
        language: `en`, `zh` or `cross-lingual`; empty is all.
        tag: only questions that carry it; empty is all.
    """
    with workspace.database.read() as conn:
        rows = {each.question: each for each in exam_card.rows_of(workspace, conn, version.number)}
    asked = _asked(workspace, version, rows)
    same = [each for each in asked if each.content == rows[each.key].digest]
    shown = same if labels is None else readable(workspace, same, labels, version.number)
    hard = [Hard(held=each, row=rows[each.key]) for each in shown if _is_hard(rows[each.key])]
    tags = sorted({tag for each in hard for tag in each.held.question.tags})
    chosen = [
        each
        for each in hard
        if language in ("", each.row.language) and (not tag or tag in each.held.question.tags)
    ]
    chosen.sort(key=_hardness)
    return Hardest(
        questions=tuple(_with_passages(workspace, chosen[skip : skip + limit], labels)),
        num_hard=len(chosen),
        num_changed=len(rows) - len(same),
        num_hidden=len(same) - len(shown),
        tags=tuple(tags),
    )


def draft(workspace: Workspace, question: ExamQuestion, labels: Sequence[str] | None) -> Answer:
    """What the champion says to a question of the exam: by itself, without corrections and without
    what it learned of the question, and by quoting alone, so that nothing is sent anywhere.

    Raises:
        WorkspaceError: no turn has made a version yet.
    """
    version = workspace.champion()
    asked = Question(text="", labels=None if labels is None else tuple(labels))
    reader = answering.standing(workspace, asked).reader
    assistant, _ = examination.unprepared(workspace, version, [question])
    return assistant.quoting_only().ask(question.question, reader)


def question_of(
    workspace: Workspace, version: Version, key: str, labels: Sequence[str] | None
) -> Held | None:
    """The question of that key that a version sat, if these labels may read it."""
    with workspace.database.read() as conn:
        row = exam_rows.get(conn, version.number, key)
    if row is None:
        return None
    rows = {key: row}
    if row.made:
        with workspace.database.read() as conn:
            rows = {
                each.question: each for each in exam_card.rows_of(workspace, conn, version.number)
            }
    found = [each for each in _asked(workspace, version, rows) if each.key == key]
    shown = found if labels is None else readable(workspace, found, labels, version.number)
    return next(iter(shown), None)


def _asked(workspace: Workspace, version: Version, rows: dict[str, ExamRow]) -> list[Held]:
    """The questions of the rows, as far as their words are still there."""
    held = [each for each in listing(workspace, None).questions if each.key in rows]
    if any(each.made for each in rows.values()):
        made = exam_card.made_of(workspace, version, list(rows.values())) or ()
        held += [held_of(each) for each in made if key_of(each.id) in rows]
    return held


def _is_hard(row: ExamRow) -> bool:
    """Whether it was not found first, was cited wrongly, or answered where there is no answer."""
    if not row.answerable:
        return row.kind == "answer"
    if row.hit is None:
        return row.values.get("answer_rouge_l", 1.0) < 0.5
    return not row.hit or row.values.get("evidence_mrr", 1.0) < 1


def _hardness(hard: Hard) -> tuple[float, bool, float, float, str]:
    """Sorts the worst first: far down in what was found, wrong, little of the evidence quoted, and
    sure of itself."""
    row = hard.row
    found = row.values.get("evidence_mrr", row.values.get("answer_rouge_l", 0.0))
    quoted = row.values.get("evidence_quoted", 0.0)
    return found, bool(row.hit), quoted, -row.confidence, row.question


def _with_passages(
    workspace: Workspace, chosen: Sequence[Hard], labels: Sequence[str] | None
) -> list[Hard]:
    shown = [id for each in chosen for id in each.row.found[:NUM_SHOWN]]
    gold = [id for each in chosen for piece in each.row.gold for id in piece[:1]]
    passages = exam_card.passages(workspace, list(dict.fromkeys([*shown, *gold])), labels)
    return [
        Hard(
            held=each.held,
            row=each.row,
            found=tuple(passages[id] for id in each.row.found[:NUM_SHOWN] if id in passages),
            gold=tuple(tuple(id for id in piece[:1] if id in passages) for piece in each.row.gold),
        )
        for each in chosen
    ]
