"""What somebody asked before: searched, filtered, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from flywheel.serve.console.page import AskerPage
from flywheel.wheel import history
from flywheel.wheel.history import Asked
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

NUM_LISTED = 20
_PLACE = "/ask/history"


@dataclass(frozen=True, kw_only=True, slots=True)
class List:
    """A page of the list, and what it was asked for by."""

    asked: tuple[Asked, ...]
    search: str
    bookmarked: bool
    next_href: str
    first_href: str


@router.get(_PLACE)
async def show(
    page: AskerPage,
    q: Annotated[str, Query(max_length=500)] = "",
    only: Literal["", "bookmarked"] = "",
    before: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    """The list; a part of it where htmx asks."""
    found = await page.run(
        listed, page.workspace, page.caller, q.strip(), only == "bookmarked", before
    )
    return page.html("ask/history.html", history=found)


def listed(
    workspace: Workspace,
    caller: Caller,
    search: str = "",
    bookmarked: bool = False,
    before: str = "",
) -> List:
    """What the caller asked.

    Args:
        before: where the page begins, as the link on the page before has it.
    """
    at, _, id = before.partition("~")
    found = history.listed(
        workspace,
        caller.name,
        NUM_LISTED,
        before=(at, id) if id else None,
        search=search,
        bookmarked=bookmarked,
    )
    filters = {"q": search, "only": "bookmarked" if bookmarked else ""}
    last = found.asked[-1].line if found.asked else None
    further = {"before": f"{last.at}~{last.id}"} if last and found.has_more else None
    return List(
        asked=found.asked,
        search=search,
        bookmarked=bookmarked,
        next_href=_href(filters | further) if further else "",
        first_href=_href(filters) if id else "",
    )


def _href(values: dict[str, str]) -> str:
    given = {name: value for name, value in values.items() if value}
    return f"{_PLACE}?{urlencode(given)}" if given else _PLACE
