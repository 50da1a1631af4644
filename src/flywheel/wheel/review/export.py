"""What curators decided, and what still waits, as tasks that Label Studio imports.

One task a question: the model's answer is its prediction, and so is what an asker suggests; what
curators decided are its annotations (labelstud.io/guide/task_format). Held-out questions of the
exam are not in it, since whoever trains on an export would train on the exam. Written piece by
piece, so that it takes no memory however much there is.

`LABELLING` is the labelling interface that shows them there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from flywheel.records import Answer, Interaction
from flywheel.store import interactions, review_lists, reviews
from flywheel.wheel.feedback import may_read
from flywheel.wheel.review.held_out import HeldOut, held_out
from flywheel.wheel.review.queue import queue
from flywheel.wheel.review.sight import readable
from flywheel.wheel.review.waiting import ABOUT_QUESTIONS, ANSWERED_BY

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.review_lists import Said
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

T = TypeVar("T")
Task = dict[str, Any]

LABELLING = """\
<View>
  <Header value="$question"/>
  <Text name="question" value="$question"/>
  <TextArea name="answer" toName="question" editable="true" maxSubmissions="1"/>
  <TextArea name="evidence" toName="question" editable="true"/>
  <Choices name="verdict" toName="question" choice="single">
    <Choice value="confirmed"/>
    <Choice value="withdrawn"/>
    <Choice value="unanswerable"/>
    <Choice value="dismissed"/>
  </Choices>
</View>
"""

_AT_ONCE = 100
"""Questions that are read together."""


def export(workspace: Workspace, caller: Caller) -> Iterator[str]:
    """The tasks that a curator may read, as pieces of one JSON list."""
    begin = "[\n"
    for task in tasks(workspace, caller):
        yield begin + json.dumps(task, ensure_ascii=False)
        begin = ",\n"
    yield "[]\n" if begin == "[\n" else "\n]\n"


def tasks(workspace: Workspace, caller: Caller) -> Iterator[Task]:
    """The same as data: what was decided, then what waits."""
    held = held_out(workspace)
    yield from _corrected(workspace, caller, held)
    yield from _closed(workspace, caller, held)
    yield from _waiting(workspace, caller, held)


def _corrected(workspace: Workspace, caller: Caller, held: HeldOut) -> Iterator[Task]:
    last = ""
    while True:
        # Each time on a connection of its own, since a slow client must not hold one.
        with workspace.database.read() as conn:
            said = review_lists.said_after(conn, last, _AT_ONCE)
            open = [each for each in said if _is_open(each, caller)]
            about = review_lists.interactions_of(conn, [each.id for each in open])
            shown = _shown(conn, list(about.values()), caller)
        for _, of_one in groupby(open, key=lambda each: each.key):
            every = list(of_one)
            if not held.asks(every[0].question):
                asked = [shown[about[each.id]] for each in every if about.get(each.id) in shown]
                yield _task_of(every, asked)
        if not said:
            return
        last = said[-1].key


def _closed(workspace: Workspace, caller: Caller, held: HeldOut) -> Iterator[Task]:
    """Questions that were decided on without an answer."""
    with workspace.database.read() as conn:
        decided = {
            each.item.partition(":")[2]: each
            for each in reviews.of_kinds(conn, ABOUT_QUESTIONS)
            if each.decision in ANSWERED_BY
        }
    for keys in _in_parts(list(decided)):
        with workspace.database.read() as conn:
            last = review_lists.last_asked(conn, keys)
            shown = _shown(conn, list(last.values()), caller)
        for key in keys:
            asked = shown.get(last.get(key, ""))
            if asked and not held.asks(asked.question):
                verdict = _annotation(decided[key].at, _choice(decided[key].decision))
                yield _task(asked.id, asked.question, [asked], [verdict])


def _waiting(workspace: Workspace, caller: Caller, held: HeldOut) -> Iterator[Task]:
    """Questions that nobody has decided on, to be labelled there."""
    kinds = ("flagged", *ABOUT_QUESTIONS)
    waiting = [each for each in queue(workspace, caller).items if each.kind in kinds]
    for items in _in_parts(waiting):
        with workspace.database.read() as conn:
            shown = _shown(conn, [each.id for each in items], caller)
        for each in items:
            if each.id in shown and not held.asks(each.question):
                yield _task(each.id, each.question, [shown[each.id]], [])


def _in_parts(every: Sequence[T]) -> Iterator[Sequence[T]]:
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))


def _is_open(said: Said, caller: Caller) -> bool:
    """Who may read what is withdrawn is not followed when documents change (sight.py)."""
    return caller.access is None or (not said.withdrawn and may_read(caller.access, said.access))


def _shown(conn: Connection, ids: Sequence[str], caller: Caller) -> dict[str, Interaction]:
    wanted = sorted(set(ids))
    seen = wanted if caller.access is None else sorted(readable(conn, wanted, caller))
    return {id: each for id, each in interactions.get_all(conn, seen).items() if each.question}


def _task_of(said: Sequence[Said], asked: Sequence[Interaction]) -> Task:
    annotations, suggested = [], []
    for each in said:
        result = [*_texts("answer", [each.answer]), *_texts("evidence", each.evidence)]
        if each.role == "asker" and not each.decided_by:
            suggested.append({"model_version": "suggested", "result": result})
        else:
            verdict = "withdrawn" if each.withdrawn else "confirmed"
            annotations.append(_annotation(each.at, [*result, *_choice(verdict)]))
    task = _task(said[0].id, said[0].question, asked, annotations)
    task["predictions"] += suggested
    return task


def _task(
    id: str, question: str, asked: Sequence[Interaction], annotations: Sequence[Task]
) -> Task:
    predictions = [
        _prediction(each.candidates[0], each.version) for each in asked if each.candidates
    ]
    return {
        "data": {"id": id, "question": question},
        "predictions": predictions,
        "annotations": list(annotations),
    }


def _prediction(answer: Answer, version: int) -> Task:
    result = [
        *_texts("answer", [answer.draft or answer.answer]),
        *_texts("evidence", [each.quote for each in answer.citations]),
    ]
    return {
        "model_version": f"version {version}",
        "score": round(answer.confidence, 4),
        "result": result,
    }


def _annotation(at: str, result: Sequence[Task]) -> Task:
    return {"created_at": at, "was_cancelled": False, "ground_truth": False, "result": [*result]}


def _texts(name: str, texts: Sequence[str]) -> list[Task]:
    """A field of texts; none where there are none."""
    kept = [each for each in texts if each]
    return [_region(name, "textarea", {"text": kept})] if kept else []


def _choice(verdict: str) -> list[Task]:
    return [_region("verdict", "choices", {"choices": [verdict]})]


def _region(name: str, kind: str, value: dict[str, Any]) -> Task:
    content = json.dumps([name, value]).encode()
    return {
        "id": hashlib.blake2b(content, digest_size=5).hexdigest(),
        "from_name": name,
        "to_name": "question",
        "type": kind,
        "value": value,
    }
