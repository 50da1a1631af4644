"""What an item of the review queue is filled in with, so that confirming it is one key.

The draft of the version that serves, with what it quotes: as it was kept with the interaction, or
asked for again where another version gave that. Never a correction's where the exam asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flywheel.errors import WorkspaceError
from flywheel.records import Answer, Passage
from flywheel.wheel import answering, reading, sight
from flywheel.wheel.answering import Question

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.review.item import Case
    from flywheel.wheel.workspace import Workspace

MOST_PASSAGES = 5
"""That are at hand to cite: reading more takes longer than looking for others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What a form is filled in with."""

    answer: str = ""
    at_hand: tuple[reading.AtHand, ...] = ()
    version: int = 0
    """Which version suggests it; 0 where none does."""
    confidence: float | None = None
    is_verified: bool = False
    """A correction answers the question by now."""


def kept(workspace: Workspace, case: Case) -> Suggestion | None:
    """What the version that serves said when the question was asked; None where it said nothing, or
    another one did."""
    if case.asked is None or not case.asked.candidates:
        return None
    with workspace.database.read() as conn:
        try:
            champion = workspace.champion(conn).number
        except WorkspaceError:
            return None
    first = case.asked.candidates[0]
    if case.asked.version != champion or first.correction:
        return None
    return _suggestion(first, case.asked.version)


def asked_again(workspace: Workspace, case: Case, caller: Caller) -> Suggestion:
    """What the version that serves says now, as far as the curator may read. No model is asked:
    what a curator confirms had better be the documents' own words."""
    question = Question(
        text=case.question, user=caller.name, labels=caller.access, quoting_only=True
    )
    try:
        if case.kind == "exam":
            question = _alone(workspace, question)
        answer, version = answering.answer(workspace, question)
    except WorkspaceError:  # there is no version yet
        return Suggestion()
    return _suggestion(answer, version.number)


def search(workspace: Workspace, words: str, caller: Caller) -> tuple[reading.AtHand, ...]:
    """Other passages to cite, by words that a curator looks for."""
    question = Question(text=words, user=caller.name, labels=caller.access, quoting_only=True)
    try:
        answer, _ = answering.answer(workspace, _alone(workspace, question))
    except WorkspaceError:
        return ()
    return tuple(_at_hand(each, ()) for each in answer.passages[:MOST_PASSAGES])


def evidence(
    workspace: Workspace, case: Case, chosen: Sequence[str], caller: Caller
) -> tuple[str, ...]:
    """The texts of sentences that a form names, those that follow each other as one; what is
    nobody's sentence, or not the curator's to read, is left out."""
    spans: dict[str, set[tuple[int, int]]] = {}
    for value in chosen:
        id, _, place = value.partition(":")
        start, _, end = place.partition(":")
        if start.isdecimal() and end.isdecimal():
            spans.setdefault(id, set()).add((int(start), int(end)))
    shown = reading.passages_of(case.asked) if case.asked else {}
    found: list[str] = []
    for id, of_one in spans.items():
        passage = shown.get(id) or _passage(workspace, id, caller)
        if passage:
            found.extend(reading.runs(passage, of_one))
    return tuple(found)


def _alone(workspace: Workspace, question: Question) -> Question:
    """To the version that serves by itself, without any correction."""
    return replace(question, version=answering.standing(workspace, question).version.number)


def _passage(workspace: Workspace, id: str, caller: Caller) -> Passage | None:
    try:
        return sight.passage(workspace, id, caller.access)
    except WorkspaceError:
        return None


def _suggestion(answer: Answer, version: int) -> Suggestion:
    cited = {each.passage for each in answer.citations}
    # What is quoted first, then what else was found.
    found = sorted(answer.passages, key=lambda each: each.id not in cited)[:MOST_PASSAGES]
    spans = [(each.passage, each.start, each.end) for each in answer.citations]
    return Suggestion(
        answer=_wording(answer),
        at_hand=tuple(_at_hand(each, spans) for each in found),
        version=version,
        confidence=answer.confidence,
        is_verified=answer.verified,
    )


def _wording(answer: Answer) -> str:
    """The answer, or the draft; of one that quotes the quotes alone, since the names of their
    sources stand beside them, and gold that holds them would favour whoever writes them so."""
    if answer.verified:
        return answer.answer.strip()
    if answer.is_written or not answer.citations:
        return answer.draft.strip()
    return "\n".join(each.quote for each in answer.citations)


def _at_hand(passage: Passage, cited: Sequence[tuple[str, int, int]]) -> reading.AtHand:
    return reading.AtHand(
        passage=passage,
        sentences=tuple(
            reading.Sentence(
                value=f"{passage.id}:{span.start}:{span.end}",
                text=text,
                is_cited=any(
                    id == passage.id and start < span.end and span.start < end
                    for id, start, end in cited
                ),
            )
            for span, text in reading.pieces(passage)
        ),
    )
