"""What tests of the review queue put into a workspace: what was asked and said, and who looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flywheel.records import Answer, Feedback, Interaction, Kind
from flywheel.store import exam_items, interactions
from flywheel.store.exam_items import ExamItem
from flywheel.wheel.feedback import accept, key_of
from flywheel.wheel.keys import Caller
from flywheel.wheel.review.decisions import Decision, Done, Ruling, decide
from flywheel.wheel.review.item import Case, find
from flywheel.wheel.review.queue import queue
from flywheel.wheel.review.waiting import Item, ItemKind
from flywheel.wheel.workspace import Workspace

INES = Caller(key="k1", name="ines", role="curator", access=None)
OLAF = Caller(key="k2", name="olaf", role="curator", access=None)
NARROW = Caller(key="k3", name="nora", role="curator", access=("public",))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: int) -> str:
    """A time of the past."""
    return (BEGAN + timedelta(seconds=second)).isoformat(timespec="milliseconds")


def put_asked(
    workspace: Workspace,
    id: str,
    question: str,
    kind: Kind = "abstain",
    confidence: float = 0.1,
    *,
    user: str = "ada",
    second: int = 0,
    draft: str = "A draft.",
) -> str:
    """An interaction that shows no passage; gives its id."""
    answer = Answer(
        question=question,
        answer=draft if kind == "answer" else "I do not know.",
        draft=draft,
        kind=kind,
        confidence=confidence,
        citations=(),
        passages=(),
        version=1,
    )
    asked = Interaction(
        id=id, question=question, candidates=(answer,), version=1, user=user, at=at(second)
    )
    workspace.database.write(lambda conn: interactions.put(conn, asked, key_of(question)))
    return id


def suggest(workspace: Workspace, id: str, question: str, answer: str, user: str = "ada") -> str:
    """An asker's correction."""
    act = Feedback(
        id=id, kind="edit", user=user, role="asker", at=at(1), question=question, answer=answer
    )
    accept(workspace, [act])
    return id


def correct(workspace: Workspace, id: str, question: str, answer: str, user: str) -> str:
    """A curator's correction."""
    act = Feedback(
        id=id, kind="edit", user=user, role="curator", at=at(2), question=question, answer=answer
    )
    accept(workspace, [act])
    return id


def flag(workspace: Workspace, id: str, interaction: str, user: str = "bo") -> str:
    """What an asker says of an answer."""
    act = Feedback(
        id=id, kind="flag", user=user, role="asker", at="", interaction=interaction, reason="Wrong."
    )
    accept(workspace, [act])
    return id


def draw(workspace: Workspace, id: str, question: str, interaction: str) -> str:
    """A question that was drawn for the exam."""
    item = ExamItem(id=id, question=question, interaction=interaction, user="ada", at=at(0))
    workspace.database.write(lambda conn: exam_items.put_all(conn, [item]))
    return id


def burst(workspace: Workspace, user: str, num: int = 22) -> list[str]:
    """Acts that came faster than anybody reads."""
    acts = [
        Feedback(
            id=f"{user}{number:02}", kind="down", user=user, role="asker", at=at(number),
            question=f"Where is part {number}?", answer="Here.",
        )
        for number in range(num)
    ]  # fmt: skip
    accept(workspace, acts)
    return [act.id for act in acts]


def listed(workspace: Workspace, caller: Caller = INES) -> list[tuple[ItemKind, str]]:
    """What waits, in its order."""
    return [(each.kind, each.id) for each in queue(workspace, caller).items]


def item(workspace: Workspace, kind: ItemKind, caller: Caller = INES) -> Item:
    """The first of a kind."""
    return next(each for each in queue(workspace, caller).items if each.kind == kind)


def case(workspace: Workspace, kind: ItemKind, id: str, caller: Caller = INES) -> Case:
    """An item in full."""
    found = find(workspace, kind, id, caller)
    assert found is not None
    return found


def rule(
    workspace: Workspace,
    kind: ItemKind,
    id: str,
    decision: Decision,
    answer: str = "",
    evidence: Sequence[str] = (),
    *,
    caller: Caller = INES,
    chosen: str = "",
    seen: str = "",
) -> Done:
    """A curator's decision on what he sees now, or saw before."""
    ruling = Ruling(
        decision=decision,
        seen=seen or case(workspace, kind, id, caller).seen,
        chosen=chosen,
        answer=answer,
        evidence=tuple(evidence),
    )
    return decide(workspace, kind, id, ruling, caller)
