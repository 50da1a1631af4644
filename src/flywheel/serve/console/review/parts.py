"""What helps to decide on an item: what it is filled in with, other passages, who else is at it.

And what curators take along: how far they agree, and the export. Asked for by the page /review.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from flywheel.serve.console.page import CuratorPage, Page, PageError
from flywheel.serve.console.review.view import conflict
from flywheel.wheel import reading
from flywheel.wheel.review import suggestion as review_suggestion
from flywheel.wheel.review.agreement import agreement
from flywheel.wheel.review.desk import desk_of
from flywheel.wheel.review.export import LABELLING, export
from flywheel.wheel.review.item import find
from flywheel.wheel.review.waiting import ItemKind

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Query(max_length=1000)]


@router.get("/review/suggestion")
async def suggest(page: CuratorPage, kind: ItemKind, item: Id) -> Response:
    """What the version that serves says to an item's question now."""
    case = await page.run(find, page.workspace, kind, item, page.caller)
    if case is None:
        raise PageError(404, "review.gone")
    found = await page.run(review_suggestion.asked_again, page.workspace, case, page.caller)
    return page.fragment("review/fill.html", case=case, suggestion=found, typed=None)


@router.get("/review/passages")
async def passages(page: CuratorPage, find: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Other passages to cite."""
    found: tuple[reading.AtHand, ...] = ()
    if find.strip():
        found = await page.run(review_suggestion.search, page.workspace, find, page.caller)
    return page.fragment("review/passages.html", at_hand=found, find=find)


@router.get("/review/watch")
async def watch(
    page: CuratorPage, kind: ItemKind, item: Id, seen: Annotated[str, Query(max_length=100)]
) -> Response:
    """Whether anybody else looks at an item, or has decided on it. Asked every twenty seconds."""
    case = await page.run(find, page.workspace, kind, item, page.caller)
    if case is None or case.seen != seen:
        view = None if case is None else await page.run(conflict, page.workspace, case, page.caller)
        return page.fragment("review/watch.html", view=view, others=(), is_over=True)
    desk = desk_of(page.workspace)
    desk.look(page.caller.name, case.name)
    others = desk.others(page.caller.name, case.name)
    return page.fragment("review/watch.html", view=None, others=others, is_over=False)


@router.get("/review/agreement")
async def show_agreement(page: CuratorPage) -> Response:
    """How far curators agree."""
    found = await page.run(agreement, page.workspace)
    return page.html("review/agreement.html", found=found, is_part=page.wants_fragment)


@router.get("/review/export.json")
async def download(page: CuratorPage) -> Response:
    """What was decided and what waits, as far as the curator may read it, for Label Studio."""
    return StreamingResponse(
        _pieces(page, export(page.workspace, page.caller)),
        media_type="application/json",
        headers={
            "Content-Disposition": 'attachment; filename="flywheel-review.json"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _pieces(page: Page, pieces: Iterator[str]) -> AsyncIterator[str]:
    """Each within the caller's limits, whoever exports again and again."""
    while piece := await page.run(next, pieces, ""):
        yield piece


@router.get("/review/labelling.xml")
async def labelling(page: CuratorPage) -> Response:
    """The labelling interface that shows the export in Label Studio."""
    return Response(
        LABELLING,
        media_type="application/xml",
        headers={"Content-Disposition": 'attachment; filename="flywheel-labelling.xml"'},
    )
