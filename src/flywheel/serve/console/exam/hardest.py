"""The page /exam/hardest: what the champion did worst on, with what it found instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from flywheel.evaluate.exam import SPLITS
from flywheel.serve.console.exam.words import tabs
from flywheel.serve.console.page import CuratorPage, PageError
from flywheel.wheel.exam import hardest as exam_hardest
from flywheel.wheel.exam import overview as exam_overview

router = APIRouter(include_in_schema=False)

NUM_ON_A_PAGE = 8

T = TypeVar("T")

Number = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Skip = Annotated[int, Query(ge=0, le=10**6)]
Tag = Annotated[str, Query(max_length=200)]
Language = Annotated[str, Query(pattern="^(en|zh|cross-lingual)?$")]
Key = Annotated[str, Path(max_length=64)]


@router.get("/exam/hardest")
async def show(
    page: CuratorPage,
    version: Number = None,
    language: Language = "",
    tag: Tag = "",
    skip: Skip = 0,
) -> Response:
    """The hardest questions, page by page."""
    seen = await page.run(exam_overview.overview, page.workspace, version)
    if seen is None or seen.card is None:
        return page.html("exam/hardest.html", tabs=tabs(page), seen=seen, hardest=None)
    hardest = await page.run(
        exam_hardest.hardest,
        page.workspace,
        seen.version,
        page.caller.access,
        language=language,
        tag=tag,
        skip=skip,
        limit=NUM_ON_A_PAGE,
    )
    chosen: dict[str, str | int] = {"version": version or "", "language": language, "tag": tag}
    after = skip + NUM_ON_A_PAGE
    return page.html(
        "exam/hardest.html",
        tabs=tabs(page),
        seen=seen,
        hardest=hardest,
        chosen=chosen,
        languages=[each for each in SPLITS if each in seen.card.metrics_by],
        first=skip + 1,
        next_href=address("/exam/hardest", chosen | {"skip": after})
        if after < hardest.num_hard
        else "",
        first_href=address("/exam/hardest", chosen) if skip else "",
    )


@router.get("/exam/hardest/{key}/draft")
async def draft(page: CuratorPage, key: Key, version: Number = None) -> Response:
    """What the champion says to a question, asked when somebody wants to see it."""
    seen = require(await page.run(exam_overview.overview, page.workspace, version))
    held = await page.run(
        exam_hardest.question_of, page.workspace, seen.version, key, page.caller.access
    )
    question = require(held).question
    answer = await page.run(exam_hardest.draft, page.workspace, question, page.caller.access)
    return page.fragment("exam/draft.html", answer=answer)


def require(found: T | None) -> T:
    """What was looked for.

    Raises:
        PageError: it is not there, or not for whoever looks.
    """
    if found is None:
        raise PageError(404, "exam.problem.not_there")
    return found


def address(place: str, values: Mapping[str, object]) -> str:
    """A place with what was chosen there."""
    chosen = {name: value for name, value in values.items() if value not in ("", 0, None)}
    return f"{place}?{urlencode(chosen)}" if chosen else place
