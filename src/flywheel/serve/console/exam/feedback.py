"""The page /exam/feedback: the quality of answers as users rate them, along time and by version."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from flywheel.serve.console.exam import pictures as exam_pictures
from flywheel.serve.console.exam.words import tabs
from flywheel.serve.console.page import CuratorPage
from flywheel.serve.console.pictures import picture_response
from flywheel.wheel.exam import fresh_feedback

router = APIRouter(include_in_schema=False)

By = Annotated[Literal["day", "week"], Query()]


@router.get("/exam/feedback")
async def show(page: CuratorPage, by: By = "week") -> Response:
    """The page, at once; what is counted comes after it."""
    return page.html("exam/feedback.html", tabs=tabs(page), by=by)


@router.get("/exam/feedback/series")
async def series(page: CuratorPage, by: By = "week") -> Response:
    """The counts, by day or by week, and by version."""
    counted = await page.run(fresh_feedback.series, page.workspace)
    points = counted.days if by == "day" else counted.weeks
    return page.fragment("exam/series.html", counted=counted, points=points[::-1], by=by)


@router.get("/exam/feedback/series.svg")
async def picture(page: CuratorPage, by: By = "week", narrow: bool = False) -> Response:
    """The share of liked answers along time."""
    counted = await page.run(fresh_feedback.series, page.workspace)
    points = counted.days if by == "day" else counted.weeks
    return await picture_response(page, exam_pictures.feedback(page.t, points, narrow=narrow))
