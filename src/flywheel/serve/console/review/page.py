"""The page /review: what waits for a curator, one item after the other, each decided with one key.

An item's parts are put together in review/view.py; what helps to decide is in review/parts.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.serve.console.page import CuratorPage, Page, PageError, PageForm
from flywheel.serve.console.review import parts as review_parts
from flywheel.serve.console.review.view import Board, Typed, board, conflict, shown
from flywheel.store import reviews
from flywheel.wheel.growth import UnfoundEvidence
from flywheel.wheel.keys import Caller
from flywheel.wheel.review import suggestion as review_suggestion
from flywheel.wheel.review.decisions import Decision, Done, Overtaken, Ruling, decide
from flywheel.wheel.review.desk import desk_of
from flywheel.wheel.review.item import Case, find
from flywheel.wheel.review.queue import Queue, queue, queue_without
from flywheel.wheel.review.undo import undo
from flywheel.wheel.review.waiting import ABOUT_CORRECTIONS, ItemKind
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)
router.include_router(review_parts.router)

_MAX_CHARS = 20_000
_MAX_PIECES = 20

Filter = ItemKind | Literal[""]
Id = Annotated[str, Field(max_length=1000)]


class ItemForm(PageForm):
    """Which item, and which tab it was shown in."""

    kind: ItemKind
    item: Id
    only: Filter = ""


class DecideForm(ItemForm):
    """What a curator says to it."""

    seen: str = Field(max_length=100)
    again: bool = False
    """He has seen what another decided, and decides otherwise."""
    decision: Decision = "confirmed"
    chosen: Id = ""
    answer: str = Field(default="", max_length=_MAX_CHARS)
    sentence: list[str] = Field(default=[], max_length=1000)
    """Of sentences that are cited: PASSAGE:START:END."""
    selected: list[str] = Field(default=[], max_length=_MAX_PIECES)
    """Texts that are cited: of the correction, selected or typed."""


class UndoForm(PageForm):
    """Which tab is shown."""

    only: Filter = ""


@router.get("/review")
async def show(
    page: CuratorPage,
    only: Filter = "",
    kind: ItemKind | None = None,
    item: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    """The queue with the item that is to be decided on next, or one that is named."""
    made = await page.run(_board, page.workspace, page.caller, only, kind, item)
    return page.html("review/index.html", board=made, announced="", typed=None)


@router.post("/review/decide")
async def rule(page: CuratorPage, form: Annotated[DecideForm, Form()]) -> Response:
    """Decides on an item, and shows the next one."""
    page.service.limits.take(page.caller.key, len(form.selected) + len(form.sentence))
    try:
        done = await page.run(_decide, page.workspace, page.caller, form)
    except Overtaken as error:
        return await _overtaken(page, form, error.case)
    except UnfoundEvidence:
        raise PageError(400, "review.unfound") from None
    if done.made:
        kind = "down" if done.review.decision == "unanswerable" else "edit"
        page.service.metrics.feedback.labels(kind).inc()
    announced = page.t.of("review.done", done.review.decision)
    return await _next(page, form.only, announced, decided=done.case.name)


@router.post("/review/skip")
async def skip(page: CuratorPage, form: Annotated[ItemForm, Form()]) -> Response:
    """Puts an item off: it comes again at the end."""
    case = await page.run(find, page.workspace, form.kind, form.item, page.caller)
    if case:
        desk_of(page.workspace).put_off(page.caller.name, case.name)
    return await _next(page, form.only, page.t("review.skipped"))


@router.post("/review/undo")
async def take_back(page: CuratorPage, form: Annotated[UndoForm, Form()]) -> Response:
    """Takes the last decision back, and shows its item again."""
    desk = desk_of(page.workspace)
    done = desk.last(page.caller.name)
    if done is None:
        raise PageError(409, "review.nothing_to_undo")
    desk.forget(page.caller.name)
    try:
        await page.run(undo, page.workspace, done, page.caller)
    except Overtaken:
        raise PageError(409, "review.cannot_undo") from None
    return await _next(page, form.only, page.t("review.undone"), done)


async def _next(
    page: Page, only: Filter, announced: str, again: Done | None = None, decided: str = ""
) -> Response:
    """The queue as it stands now."""
    kind, item = (again.case.kind, again.case.id) if again else (None, "")
    if not page.wants_fragment:
        return page.see(f"/review?only={only}" if only else "/review")
    made = await page.run(_board, page.workspace, page.caller, only, kind, item, decided)
    left = page.t("review.left", num=made.num_left)
    return page.fragment(
        "review/queue.html", board=made, announced=f"{announced} {left}", typed=None
    )


async def _overtaken(page: Page, form: DecideForm, case: Case | None) -> Response:
    """The item as it stands now, with what another decided on it."""
    if case is None:
        raise PageError(409, "review.gone")
    made = await page.run(_board, page.workspace, page.caller, form.only, form.kind, form.item)
    first = await page.run(conflict, page.workspace, case, page.caller)
    made = replace(made, view=first)
    announced, typed = page.t("review.overtaken"), Typed(answer=form.answer)
    if page.wants_fragment:
        return page.fragment(
            "review/queue.html", status=409, board=made, announced=announced, typed=typed
        )
    return page.html("review/index.html", status=409, board=made, announced=announced, typed=typed)


def _board(
    workspace: Workspace,
    caller: Caller,
    only: Filter,
    kind: ItemKind | None = None,
    id: str = "",
    decided: str = "",
) -> Board:
    """The queue, with one item open.

    Args:
        decided: the name of an item that was decided on just now.
    """
    every = queue_without(workspace, caller, decided) if decided else queue(workspace, caller)
    case = find(workspace, kind, id, caller) if kind and id else None
    if case is None:
        case = _following(workspace, caller, every, only)
        if decided and case and not case.is_waiting:  # another was quicker
            every = queue(workspace, caller)
            case = _following(workspace, caller, every, only)
    desk = desk_of(workspace)
    desk.look(caller.name, case.name if case else "")
    today = datetime.now(UTC).date().isoformat()
    with workspace.database.read() as conn:
        num_today = reviews.count_since(conn, caller.name, today)
    return board(
        every,
        only,
        shown(workspace, case, caller) if case else None,
        others=desk.others(caller.name, case.name) if case else (),
        num_today=num_today,
        can_undo=desk.last(caller.name) is not None,
    )


def _following(workspace: Workspace, caller: Caller, every: Queue, only: Filter) -> Case | None:
    """The item to decide on next."""
    chosen = desk_of(workspace).next(every, caller.name, only or None)
    return find(workspace, chosen.kind, chosen.id, caller) if chosen else None


def _decide(workspace: Workspace, caller: Caller, form: DecideForm) -> Done:
    case = find(workspace, form.kind, form.item, caller)
    if case is None:
        raise Overtaken(None)
    evidence: tuple[str, ...] = ()
    writes = form.decision == "edited" or form.kind not in ABOUT_CORRECTIONS
    if writes and form.decision in ("confirmed", "edited"):
        chosen = review_suggestion.evidence(workspace, case, form.sentence, caller)
        typed = (each.strip() for each in form.selected)
        evidence = tuple(dict.fromkeys([*chosen, *filter(None, typed)]))[:_MAX_PIECES]
        if not form.answer.strip() and not (form.kind == "exam" and evidence):
            raise PageError(400, "review.no_answer")
    ruling = Ruling(
        decision=form.decision,
        seen=form.seen,
        again=form.again,
        chosen=form.chosen,
        answer=form.answer.replace("\r\n", "\n").strip(),
        evidence=evidence,
    )
    done = decide(workspace, form.kind, form.item, ruling, caller)
    desk_of(workspace).remember(caller.name, done)
    return done
