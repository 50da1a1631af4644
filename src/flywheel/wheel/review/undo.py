"""Taking back a decision on an item of the review queue, as long as nobody has gone on from it.

What was kept of the item stands again as it was, and it waits again. The act that a decision made
stays in the ledger, where nothing ever changes: it is withdrawn, or retracted.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from flywheel.learn.feedback import JUDGEMENTS
from flywheel.records import Feedback
from flywheel.store import corrections, erasures, quarantine, reviews
from flywheel.store import feedback as feedback_store
from flywheel.wheel import feedback, growth
from flywheel.wheel.keys import record
from flywheel.wheel.review.decisions import Done, Overtaken
from flywheel.wheel.review.item import read

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace


def undo(workspace: Workspace, done: Done, caller: Caller) -> None:
    """Takes a decision back, as long as nobody has gone on from it.

    Raises:
        Overtaken: somebody has.
    """

    def first(conn: Connection) -> None:
        corrections.lock(conn)
        is_last = reviews.get(conn, done.review.item) == done.review
        if not is_last or erasures.count(conn) != done.num_erasures:
            case = done.case
            raise Overtaken(read(conn, case.kind, case.id, caller, done.acts))
        if done.case.decided:
            reviews.put(conn, done.case.decided)
        else:
            reviews.remove(conn, done.review.item)
        _undo(conn, done, caller)
        record(conn, caller, "review.undo", done.case.id)

    if done.review.decision == "unanswerable" and done.made:
        assert done.case.asked is not None
        act = _unsaid(workspace, done, done.case.asked.id, caller)
        feedback.accept(workspace, [act], caller.access, caller, first)
    else:
        workspace.database.write(first)


def _unsaid(workspace: Workspace, done: Done, asked: str, caller: Caller) -> Feedback:
    """What undoes the judgement that a decision made: what the curator himself said of the answer
    before, said again, since the last word counts; or that it is taken back."""
    with workspace.database.read() as conn:
        acts = feedback_store.of_interaction(conn, asked)
    own = [
        act
        for act in acts
        if act.user == caller.name
        and not act.candidate
        and act.id != done.made
        and act.kind in (*JUDGEMENTS, "retract")
    ]
    before = own[-1] if own and own[-1].kind != "retract" else None
    return Feedback(
        id=uuid.uuid4().hex,
        kind=before.kind if before else "retract",
        user=caller.name,
        role=caller.role,
        at="",
        interaction=asked,
        candidate=0,
        reason=before.reason if before else "",
    )


def _undo(conn: Connection, done: Done, caller: Caller) -> None:
    """What a decision did to corrections, drawn questions and acts in quarantine."""
    case = done.case
    if case.kind == "exam":
        assert case.drawn is not None
        growth.restore(conn, case.drawn, caller)
    if done.acts:
        reviews.undecide_acts(conn, done.acts)
        quarantine.put_all(conn, done.judged)
    if not case.key:
        return
    if any(_change_of(conn, id) != change for id, change in done.left):
        raise Overtaken(read(conn, case.kind, case.id, caller))
    made = corrections.get(conn, done.made) if done.made else None
    if made:
        corrections.mark_all(
            conn, [replace(made, withdrawn=feedback.WITHDRAWN, decided_by=caller.name)]
        )
    corrections.mark_all(conn, case.entries)
    feedback.settle(conn, [case.key])


def _change_of(conn: Connection, id: str) -> int | None:
    entry = corrections.get(conn, id)
    return entry.change if entry else None
