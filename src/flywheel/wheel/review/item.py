"""One item of the review queue with all that a curator needs to decide on it.

Read anew whenever it is shown or decided on: `seen` is another text as soon as anything changed
that a decision rests on, so that nobody decides on what he has not seen. Not here: the order of
the queue (review/queue.py), and what the form is filled with (suggestions.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flywheel.learn.feedback import normal_form
from flywheel.records import Correction, Feedback, Interaction
from flywheel.store import corrections, exam_items, interactions, review_lists, reviews
from flywheel.store import feedback as feedback_store
from flywheel.store.exam_items import ExamItem
from flywheel.store.reviews import Review
from flywheel.wheel.feedback import is_readable, key_of
from flywheel.wheel.review import bursts as burst_memory
from flywheel.wheel.review.held_out import held_out
from flywheel.wheel.review.sight import readable, readable_acts
from flywheel.wheel.review.waiting import ABOUT_CORRECTIONS, ANSWERED_BY, CORRECTIONS, ItemKind

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.corrections import Entry
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

MOST_ACTS = 40
"""Acts of one burst that are shown; a decision is on all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An item in full."""

    kind: ItemKind
    id: str
    name: str
    """What a decision on it is kept under."""
    question: str
    key: str
    """The question's normal form; empty where it is about none."""
    seen: str
    """Another text, whenever what a decision rests on has changed."""
    is_waiting: bool
    decided: Review | None
    """The last decision on it, if there is one."""
    entries: tuple[Entry, ...] = ()
    """The corrections in force of the question, as far as the curator may read them."""
    asked: Interaction | None = None
    """What was answered, where it is about an answer."""
    flags: tuple[Feedback, ...] = ()
    acts: tuple[Feedback, ...] = ()
    """Of a burst, those that wait."""
    drawn: ExamItem | None = None
    num_asked: int = 0
    num_askers: int = 0
    is_held_out: bool = False
    """Whether the exam asks nearly the same: a correction serves, and nothing learns from it."""

    @property
    def sides(self) -> tuple[Correction, ...]:
        """The corrections to decide between: those that wait, and what they are against."""
        waiting = [each.correction for each in self.entries if _waits(each)]
        said = {normal_form(each.answer) for each in waiting}
        against = [
            each.correction
            for each in self.entries
            if not _waits(each) and normal_form(each.correction.answer) not in said
        ]
        return (*waiting, *against)


def find(workspace: Workspace, kind: ItemKind, id: str, caller: Caller) -> Case | None:
    """An item, whether it still waits or was decided on; None where there is none that the curator
    may read."""
    with workspace.database.read() as conn:
        case = read(conn, kind, id, caller, burst_of(workspace, kind, id))
        if case and case.key and caller.access is None:
            # How often others asked is only for who reads all that they were answered.
            num_asked = review_lists.asked(conn, [case.key]).get(case.key, 0)
            num_askers = review_lists.askers(conn, case.key)
            case = replace(case, num_asked=num_asked, num_askers=num_askers)
    if case is None or not case.question or not held_out(workspace).asks(case.question):
        return case
    return replace(case, is_held_out=True)


def read(
    conn: Connection, kind: ItemKind, id: str, caller: Caller, burst: Sequence[str] = ()
) -> Case | None:
    """The same, on a connection; in a write, what it says holds until that is committed.

    Args:
        burst: the acts that came with this one, where it is about a burst.
    """
    if kind in ABOUT_CORRECTIONS:
        return _of_corrections(conn, kind, id, caller)
    if kind == "flagged":
        return _flagged(conn, id, caller)
    if kind == "exam":
        return _drawn(conn, id, caller)
    if kind == "quarantine":
        return _held(conn, id, caller, burst)
    return _asked(conn, kind, id, caller)


def burst_of(workspace: Workspace, kind: ItemKind, id: str) -> Sequence[str]:
    """The acts that came with this one, where an item is about a burst."""
    if kind != "quarantine":
        return ()
    return next((each.acts for each in burst_memory.bursts(workspace) if id in each.acts), ())


def _of_corrections(conn: Connection, kind: ItemKind, id: str, caller: Caller) -> Case | None:
    entry = corrections.get(conn, id)
    if entry is None or not entry.key or not is_readable(entry.correction, caller.access):
        return None
    name = f"{CORRECTIONS}:{entry.key}"
    entries = _entries(conn, entry.key, caller)
    return Case(
        kind=kind,
        id=id,
        name=name,
        question=entry.correction.question,
        key=entry.key,
        seen=_digest([(each.correction.id, each.change) for each in entries]),
        is_waiting=any(_waits(each) for each in entries),
        decided=reviews.get(conn, name),
        entries=entries,
    )


def _flagged(conn: Connection, id: str, caller: Caller) -> Case | None:
    asked = _readable(conn, id, caller)
    every = feedback_store.of_interaction(conn, id) if asked else [feedback_store.get(conn, id)]
    flags = tuple(each for each in every if each and each.kind == "flag" and each.question)
    if not flags or (asked is None and caller.access is not None):
        return None
    if asked is None and flags[0].interaction:
        return None  # it is named by its interaction
    key = key_of(flags[-1].question)
    decided = reviews.get(conn, name := f"flagged:{id}")
    return Case(
        kind="flagged",
        id=id,
        name=name,
        question=flags[-1].question,
        key=key,
        seen=_digest([each.id for each in flags], decided),
        is_waiting=decided is None or decided.at < flags[-1].at,
        decided=decided,
        entries=_entries(conn, key, caller),
        asked=asked,
        flags=flags,
    )


def _asked(conn: Connection, kind: ItemKind, id: str, caller: Caller) -> Case | None:
    asked = _readable(conn, id, caller)
    if asked is None:
        return None
    key = key_of(asked.question)
    decided = reviews.get(conn, name := f"{kind}:{key}")
    entries = _entries(conn, key, caller)
    is_closed = decided is not None and decided.decision in ANSWERED_BY
    return Case(
        kind=kind,
        id=id,
        name=name,
        question=asked.question,
        key=key,
        seen=_digest([(each.correction.id, each.change) for each in entries], decided),
        is_waiting=not is_closed and not corrections.of_keys(conn, [key]),
        decided=decided,
        entries=entries,
        asked=asked,
    )


def _drawn(conn: Connection, id: str, caller: Caller) -> Case | None:
    drawn = exam_items.get(conn, id)
    asked = _readable(conn, drawn.interaction, caller) if drawn else None
    if drawn is None or asked is None:
        return None
    decided = reviews.get(conn, name := f"exam:{id}")
    return Case(
        kind="exam",
        id=id,
        name=name,
        question=drawn.question,
        key="",
        seen=_digest([drawn.state, drawn.decided_by, drawn.answer, drawn.evidence], decided),
        is_waiting=drawn.state == "waiting",
        decided=decided,
        asked=asked,
        drawn=drawn,
        is_held_out=True,
    )


def _held(conn: Connection, id: str, caller: Caller, burst: Sequence[str]) -> Case | None:
    seen = readable_acts(conn, burst, caller)
    if id not in seen:
        return None
    judged = reviews.decided_acts(conn, seen)
    waiting = [each for each in seen if each not in judged]
    acts = [feedback_store.get(conn, each) for each in (waiting or seen)[:MOST_ACTS]]
    decided = reviews.get(conn, name := f"quarantine:{id}")
    return Case(
        kind="quarantine",
        id=id,
        name=name,
        question="",
        key="",
        seen=_digest(waiting, decided),
        is_waiting=bool(waiting),
        decided=decided,
        acts=tuple(each for each in acts if each is not None),
        num_asked=len(waiting or seen),
    )


def acts_of(conn: Connection, burst: Sequence[str], caller: Caller) -> list[str]:
    """The acts of a burst that a decision is on, as far as the curator may read them: those that
    wait; all of them, where none does and it is decided on again."""
    seen = readable_acts(conn, burst, caller)
    judged = reviews.decided_acts(conn, seen)
    return [each for each in seen if each not in judged] or seen


def _readable(conn: Connection, id: str, caller: Caller) -> Interaction | None:
    if id not in readable(conn, [id], caller):
        return None
    return interactions.get(conn, id)


def _entries(conn: Connection, key: str, caller: Caller) -> tuple[Entry, ...]:
    found = corrections.of_keys(conn, [key]).get(key, [])
    return tuple(each for each in found if is_readable(each.correction, caller.access))


def _waits(entry: Entry) -> bool:
    return not entry.correction.verified or bool(entry.correction.review)


def _digest(parts: object, decided: Review | None = None) -> str:
    content = json.dumps([parts, decided.change if decided else 0])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
