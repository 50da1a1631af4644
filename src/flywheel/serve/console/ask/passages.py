"""A passage in its document, with a quote marked: in a dialog, or as a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from flywheel.serve.console.ask.exchange import passage_href
from flywheel.serve.console.ask.notes import marked
from flywheel.serve.console.page import AskerPage, PageError
from flywheel.wheel.reading import read

router = APIRouter(include_in_schema=False)

Offset = Annotated[int, Query(ge=0, le=10**9)]


@router.get("/passages/{id}")
async def show(
    page: AskerPage,
    id: Annotated[str, Path(max_length=200)],
    start: Offset = 0,
    end: Offset = 0,
    of: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """A passage as a citation names it.

    Args:
        of: the interaction that cites it, for one that the version which serves does not hold.
    """
    found = await page.run(read, page.workspace, id, page.caller, of)
    if found is None:
        raise PageError(404, "ask.problem.no_passage")
    near = {
        side: passage and passage_href(passage.id, 0, 0, of)
        for side, passage in (("before", found.before), ("after", found.after))
    }
    return page.html(
        "ask/passage.html",
        found=found,
        shown=marked(found.passage.text, start, end),
        near=near,
        href=passage_href(id, start, end, of),
        is_part=page.wants_fragment,
    )
