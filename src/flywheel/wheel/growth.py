"""How the exam grows: questions that users asked, drawn by a hash, answered by a curator.

Whether a question is drawn depends on its words alone, so that the exam is a fair sample of what
is asked, and no sample of what the champion fails on. Drawn at the turn: asking costs nothing.
What was sent in unasked is never drawn; it only trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from flywheel.errors import FileFormatError, SourceError, UsageError
from flywheel.evaluate import text
from flywheel.evaluate.exam import ExamLine
from flywheel.learn.feedback import normal_form
from flywheel.learn.groups import Asked, Place, divide
from flywheel.lines import read_lines
from flywheel.records import ExamQuestion
from flywheel.store import corrections, exam_items, feedback, interactions, state
from flywheel.store.exam_items import ExamItem
from flywheel.wheel.evidence import locate_all
from flywheel.wheel.feedback import key_of
from flywheel.wheel.keys import COMMAND_LINE, record

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

FULL = 300
"""Questions of an exam that grows no more: it sees a gain of 0.06 to 0.07."""

_DRAWN_UNTIL = "exam_drawn_until"


class GoldLine(ExamLine):
    """A line that `flywheel exam --waiting` printed, filled in."""

    drop: bool = False
    """The question is not fit to be asked again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What a curator's file came to."""

    gold: int
    dropped: int
    waiting: int
    """Questions that still wait, of all that were drawn."""


class UnfoundEvidence(UsageError):
    """What a curator names as evidence stands in no document that he may read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gold:
    """What a curator says to one drawn question."""

    answer: str = ""
    evidence: tuple[str, ...] = ()
    """Verbatim text of the sources."""
    answerable: bool = True
    drop: bool = False
    """The question is not fit to be asked again."""


def draw(workspace: Workspace, exam: Sequence[ExamQuestion]) -> int:
    """Draws from what was asked since the last time.

    Args:
        exam: the workspace's own questions; the more it has, the fewer are drawn.

    Returns:
        How many questions were drawn.
    """
    _fill_keys(workspace)
    with workspace.database.read() as conn:
        asked = interactions.list_questions(conn)
        until = tuple(state.get(conn, _DRAWN_UNTIL) or ("", ""))
        if not asked or _place(asked[-1]) <= until:
            return 0
        items = exam_items.list_items(conn)
        unasked = [each for each in feedback.list_feedback(conn) if not each.interaction]
    fixed = [*(each.question for each in exam), *(each.question for each in items)]
    came = [((each.at, each.id), each.question, _place(each) > until) for each in asked]
    came += [((each.at, each.id), each.question, False) for each in unasked]
    came.sort(key=lambda each: each[0])
    placed = divide(
        [
            *(Asked(question=each, origin="exam") for each in fixed),
            *(Asked(question=each, origin="open" if new else "training") for _, each, new in came),
        ],
        room=FULL - len(exam) - sum(each.state == "waiting" for each in items),
    )
    begun = {
        id for ((_, id), *_), place in zip(came, placed[len(fixed) :], strict=True) if place.drawn
    }
    drawn = [_item(each) for each in asked if each.id in begun]

    def write(conn: Connection) -> None:
        exam_items.put_all(conn, drawn)
        state.put(conn, _DRAWN_UNTIL, list(_place(asked[-1])))

    workspace.database.write(write)
    return len(drawn)


def places(examples: Sequence[str], held_out: Sequence[str], asked: Sequence[str]) -> list[Place]:
    """Whether each example may be learned from, beside what the exam asks and users asked."""
    before = [Asked(question=each, origin="exam") for each in held_out]
    before += [Asked(question=each, origin="training") for each in dict.fromkeys(asked)]
    everyone = [*before, *(Asked(question=each, origin="training") for each in examples)]
    return divide(everyone)[len(before) :]


def waiting(workspace: Workspace) -> list[dict[str, Any]]:
    """The drawn questions that wait for a curator, as exam lines to be filled in."""
    with workspace.database.read() as conn:
        items = exam_items.list_items(conn)
    return [
        {"id": each.id, "question": each.question, "answer": "", "evidence": [], "answerable": True}
        for each in items
        if each.state == "waiting"
    ]


def judge(workspace: Workspace, path: Path | str, curator: str) -> Judged:
    """Takes the lines back, all or none. One that was left as it was printed still waits.

    Raises:
        SourceError: there is no such file, or it holds no line.
        FileFormatError: a line is not valid, its question is none that was drawn, or its evidence
            stands in no document.
    """
    lines = read_lines(path, GoldLine)
    if not lines:
        raise SourceError(f"{path} holds no line. `flywheel exam --waiting` prints them.")
    with workspace.database.read() as conn:
        items = {each.id: each for each in exam_items.list_items(conn)}
    said: dict[str, ExamItem] = {}
    numbers: dict[str, int] = {}
    for number, line in lines:
        item = _judged(path, number, line, items, curator)
        if item.id in numbers:
            problem = f'id "{item.id}" is taken by line {numbers[item.id]}'
            raise FileFormatError(path, number, problem)
        numbers[item.id] = number
        if item.state != "waiting":
            said[item.id] = item
    _check_evidence(workspace, path, list(said.values()), numbers)
    workspace.database.write(lambda conn: exam_items.decide_all(conn, list(said.values())))
    states = [each.state for each in said.values()]
    return Judged(
        gold=states.count("gold"),
        dropped=states.count("dropped"),
        waiting=len(waiting(workspace)),
    )


def decide(
    workspace: Workspace,
    id: str,
    gold: Gold,
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> ExamItem:
    """Takes what a curator says to one drawn question; what was said before goes.

    Args:
        by: who decides, where a key tells; his evidence stands where he may read it.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        UsageError: no such question was drawn, or it cannot be meant, or its evidence stands in no
            document that he may read.
    """
    _check_gold(gold)
    labels = by.access if by else None
    (located,) = locate_all(workspace, [gold.evidence], labels)
    if located.unfound:
        raise UnfoundEvidence(_unfound(located.unfound[0]))

    def write(conn: Connection) -> ExamItem:
        corrections.lock(conn)
        if first:
            first(conn)
        item = exam_items.get(conn, id)
        if item is None:
            raise UsageError(f'No question "{id}" was drawn for the exam.')
        said = replace(
            item,
            state="dropped" if gold.drop else "gold",
            answer=gold.answer,
            evidence=gold.evidence,
            answerable=gold.answerable,
            decided_by=by.name if by else COMMAND_LINE,
        )
        exam_items.decide_all(conn, [said])
        record(conn, by, "exam.drop" if gold.drop else "exam.gold", id)
        return said

    return workspace.database.write(write)


def reopen(conn: Connection, id: str, by: Caller | None = None) -> None:
    """Lets a drawn question wait again, without what was said to it."""
    exam_items.blank(conn, id)
    record(conn, by, "exam.reopen", id)


def restore(conn: Connection, item: ExamItem, by: Caller | None = None) -> None:
    """Lets a drawn question be again as it was, with what was said to it then."""
    if item.state == "waiting":
        reopen(conn, item.id, by)
        return
    exam_items.decide_all(conn, [item])
    record(conn, by, "exam.drop" if item.state == "dropped" else "exam.gold", item.id)


def grown(conn: Connection) -> list[ExamQuestion]:
    """The drawn questions that have their answers."""
    return [
        ExamQuestion(
            id=each.id,
            question=each.question,
            answer=each.answer or None,
            evidence=each.evidence,
            answerable=each.answerable,
        )
        for each in exam_items.list_items(conn)
        if each.state == "gold"
    ]


def held_out(conn: Connection) -> list[str]:
    """Every drawn question: none is learned from, not even before it has its answer."""
    return [each.question for each in exam_items.list_items(conn)]


def _fill_keys(workspace: Workspace) -> None:
    """What was asked under a release that kept no keys is counted with the rest from now on."""
    while workspace.database.write(lambda conn: interactions.fill_keys(conn, key_of)):
        pass


def _place(asked: interactions.Question) -> tuple[str, str]:
    return asked.at, asked.id


def _item(asked: interactions.Question) -> ExamItem:
    return ExamItem(
        id=f"asked-{asked.id}",
        question=asked.question,
        interaction=asked.id,
        user=asked.user,
        at=asked.at,
    )


def _judged(
    path: Path | str, number: int, line: GoldLine, items: Mapping[str, ExamItem], curator: str
) -> ExamItem:
    """The item as the line has it.

    Raises:
        FileFormatError: the line says nothing that can be meant of a drawn question.
    """
    question = line.to_question()
    item = items.get(question.id)
    if item is None:
        raise FileFormatError(path, number, f'no question "{question.id}" was drawn for the exam')
    if normal_form(question.question) != normal_form(item.question):
        problem = f'"question" was drawn as "{item.question}"; an exam asks what was asked'
        raise FileFormatError(path, number, problem)
    if line.tags:
        raise FileFormatError(path, number, "a drawn question has no tags")
    if problem := _problem(question.answer or "", question.evidence, question.answerable):
        raise FileFormatError(path, number, problem)
    said = replace(
        item,
        answer=question.answer or "",
        evidence=question.evidence,
        answerable=question.answerable,
        decided_by=curator,
    )
    if line.drop:
        return replace(said, state="dropped")
    filled = question.answer or question.evidence or not question.answerable
    return replace(said, state="gold" if filled else "waiting")


def _problem(answer: str, evidence: Sequence[str], answerable: bool) -> str:
    """Why that cannot be said of a question; empty where it can."""
    for place, piece in enumerate(evidence, start=1):
        if not text.normalise(piece):
            return f'"evidence" {place} holds no words'
    if not answerable and (answer or evidence):
        return "it is not answerable, and has an answer"
    return ""


def _check_gold(gold: Gold) -> None:
    if problem := _problem(gold.answer, gold.evidence, gold.answerable):
        raise UsageError(f"{problem[0].upper()}{problem[1:]}.")
    if gold.answerable and not (gold.drop or gold.answer or gold.evidence):
        raise UsageError("Give the answer or its evidence, or say that it is not answerable.")


def _unfound(place: int) -> str:
    return f'"evidence" {place} stands in no current document; copy it from there'


def _check_evidence(
    workspace: Workspace,
    path: Path | str,
    items: Sequence[ExamItem],
    numbers: Mapping[str, int],
) -> None:
    located = locate_all(workspace, [each.evidence for each in items], None)
    for item, evidence in zip(items, located, strict=True):
        for place in evidence.unfound:
            raise FileFormatError(path, numbers[item.id], _unfound(place))
