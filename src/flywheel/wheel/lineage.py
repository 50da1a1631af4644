"""Trace: an answer leads to its version, its documents and the feedback that shaped it; an act of
feedback leads to what became of it.

Not here: how any of it is erased (erasure.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from flywheel.build.ranker import FEWEST
from flywheel.errors import FlywheelError, UsageError, WorkspaceError
from flywheel.records import Answer, Citation, Feedback
from flywheel.search.learned import read_questions
from flywheel.store import corrections, documents, erasures, interactions, versions
from flywheel.store import feedback as feedback_store
from flywheel.store.corrections import Entry
from flywheel.store.documents import StagedDocument
from flywheel.store.versions import Version
from flywheel.wheel import examination, stages
from flywheel.wheel.stages import Learnable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Cited:
    """A passage that an answer cited, and the document that it is of, as that stands now."""

    passage: str
    title: str
    headings: tuple[str, ...]
    quote: str
    document: str
    source: str = ""
    path: str = ""
    date: str = ""
    state: str
    """`current`, or what became of the document since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taught:
    """A learned question that led to a passage which was cited."""

    feedback: str
    question: str
    user: str
    at: str
    passages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedFeedback:
    """An act of feedback, and what became of it."""

    feedback: Feedback
    correction: Entry | None
    """What it corrects, with who decided on it; None where it is no edit."""
    versions: tuple[int, ...]
    """Those that learned from it."""
    reason: str
    """Why none did; empty where one did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedInteraction:
    """An answer, and all that it came from."""

    id: str
    at: str
    user: str
    question: str
    answer: Answer | None
    """None where it was erased."""
    version: Version | None
    cited: tuple[Cited, ...]
    correction: TracedFeedback | None
    """The correction that answered."""
    taught: tuple[Taught, ...]
    """The learned questions that led to what was cited."""
    given: tuple[TracedFeedback, ...]
    """The feedback on this answer."""


def trace(workspace: Workspace, id: str) -> TracedInteraction | TracedFeedback:
    """What an answer came from, by its interaction's id, or what an act of feedback led to.

    Raises:
        UsageError: neither is known by that id, or it was erased.
    """
    with workspace.database.read() as conn:
        interaction = interactions.get(conn, id)
        act = None if interaction else feedback_store.get(conn, id)
        if erasure := erasures.of_item(conn, id):
            raise UsageError(f"{id[:80]!r} was erased at {erasure.at}: nothing of it is kept.")
        # Read once, for whatever acts there are to explain.
        learnable = cache(lambda: _learnable(workspace))
        if act is not None:
            return _traced(learnable, conn, act)
        if interaction is None:
            raise UsageError(
                f"Nothing is known by the id {id[:80]!r}. `flywheel ask` prints the id of an "
                "interaction; feedback has the one in its file."
            )
        answer = interaction.candidates[0] if interaction.candidates else None
        version = versions.get(conn, interaction.version)
        cited = _cited(conn, answer.citations) if answer else ()
        answered = feedback_store.get(conn, answer.correction) if answer else None
        return TracedInteraction(
            id=id,
            at=interaction.at,
            user=interaction.user,
            question=interaction.question,
            answer=answer,
            version=version,
            cited=cited,
            correction=_traced(learnable, conn, answered) if answered else None,
            taught=_taught(workspace, conn, version, cited) if answered is None else (),
            given=tuple(
                _traced(learnable, conn, each) for each in feedback_store.of_interaction(conn, id)
            ),
        )


def _cited(conn: Connection, citations: Sequence[Citation]) -> tuple[Cited, ...]:
    staged = documents.get_all(conn, {each.document for each in citations})
    return tuple(_cited_as(each, staged.get(each.document)) for each in citations)


def _cited_as(citation: Citation, document: StagedDocument | None) -> Cited:
    return Cited(
        passage=citation.passage,
        title=citation.title,
        headings=citation.headings,
        quote=citation.quote,
        document=citation.document,
        source=document.source if document else "",
        path=document.path if document else "",
        date=document.date if document else "",
        state=_state(document),
    )


def _state(document: StagedDocument | None) -> str:
    if document is None:
        return "not known any more"
    if document.deleted_at:
        return f"{document.reason or 'deleted'} at {document.deleted_at}"
    if document.fate == "kept":
        return "current"
    return f"{document.fate}: {document.reason}" if document.reason else document.fate


def _taught(
    workspace: Workspace, conn: Connection, version: Version | None, cited: Sequence[Cited]
) -> tuple[Taught, ...]:
    """As the version's own ranker has them, since feedback moves on."""
    key = version.bundle.get("ranker") if version else ""
    folder = workspace.artifacts.find("ranker", key) if key else None
    if folder is None:
        return ()
    passages = {each.passage for each in cited}
    found = []
    for each in read_questions(folder):
        if led := passages & set(each.passages):
            act = feedback_store.get(conn, each.id)
            found.append(
                Taught(
                    feedback=each.id,
                    question=each.question,
                    user=act.user if act else "",
                    at=act.at if act else "",
                    passages=tuple(sorted(led)),
                )
            )
    return tuple(found)


def _learnable(workspace: Workspace) -> Learnable:
    """As the next turn has it, on the champion's documents."""
    try:
        exam = examination.own(workspace)
    except FlywheelError:  # an exam that cannot be read keeps nothing out
        return stages.learnable(workspace, [])
    with suppress(WorkspaceError):  # before the first turn no question is made from the documents
        exam = examination.questions(workspace, workspace.assistant(workspace.champion()).index)
    return stages.learnable(workspace, exam)


def _traced(learnable: Callable[[], Learnable], conn: Connection, act: Feedback) -> TracedFeedback:
    learned = tuple(versions.that_learned(conn, act.id))
    entry = corrections.get(conn, act.id)
    reason = "" if learned else _why_none(learnable, act, entry)
    return TracedFeedback(feedback=act, correction=entry, versions=learned, reason=reason)


def _why_none(learnable: Callable[[], Learnable], act: Feedback, entry: Entry | None) -> str:
    """Why no version learned from an act."""
    if entry and entry.withdrawn:
        return f"withdrawn: {entry.withdrawn}"
    if entry and not entry.correction.verified:
        return "not verified: it waits for a curator"
    if entry and entry.correction.disputed:
        return "disputed: a curator has to decide"
    if entry and not entry.correction.passages:
        return "its evidence stands in no current document"
    left = learnable()
    if act.id in left.left_out:
        return left.left_out[act.id]
    if act.id not in left.feedback:
        return "it tells which answer is better, which a model learns from: flywheel turn --model"
    num_leading = sum(bool(each.passages) for each in left.examples)
    if num_leading < FEWEST:
        return (
            f"a version learns from {FEWEST} questions with evidence on, and there are "
            f"{num_leading}"
        )
    return "no turn has built a version since it came in: flywheel turn"
