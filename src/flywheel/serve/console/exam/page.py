"""The page /exam: how good the champion is, and how a version did beside the one before it.

The pages below it are modules of their own: the hardest questions (exam/hardest.py), fresh feedback
(exam/feedback.py) and the questions themselves (exam/questions.py).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from flywheel.serve.console.exam import evidence as exam_evidence
from flywheel.serve.console.exam import feedback as exam_feedback
from flywheel.serve.console.exam import hardest as exam_hard
from flywheel.serve.console.exam import pictures as exam_pictures
from flywheel.serve.console.exam import questions as exam_questions
from flywheel.serve.console.exam.words import bins, decisions, metric_rows, summary, tabs
from flywheel.serve.console.page import CuratorPage, Page
from flywheel.serve.console.pictures import picture_response
from flywheel.store.jobs import ENDED, ExamArguments, Job
from flywheel.wheel import jobs
from flywheel.wheel.exam import overview as exam_overview
from flywheel.wheel.exam.overview import Overview

router = APIRouter(include_in_schema=False)

Number = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


@router.get("/exam")
async def show(page: CuratorPage, version: Number = None) -> Response:
    """The card of a version; of the champion where none is named."""
    seen = await page.run(exam_overview.overview, page.workspace, version)
    if seen is None:
        return page.html("exam/blank.html", tabs=tabs(page))
    return page.html(
        "exam/index.html",
        tabs=tabs(page),
        seen=seen,
        rows=metric_rows(page.t, seen),
        told=summary(page.t, seen),
        decided=decisions(page.t, seen.card),
        bins=bins(seen.card),
        job=await _sitting(page),
    )


@router.get("/exam/metrics.svg")
async def metrics(page: CuratorPage, version: Number = None, narrow: bool = False) -> Response:
    """The metrics with their intervals, beside those of the version before."""
    seen = await _require(page, version)
    return await picture_response(page, exam_pictures.metrics(page.t, seen, narrow=narrow))


@router.get("/exam/calibration.svg")
async def calibration(page: CuratorPage, version: Number = None, narrow: bool = False) -> Response:
    """How often answers of each confidence were right."""
    seen = await _require(page, version)
    return await picture_response(page, exam_pictures.reliability(page.t, seen, narrow=narrow))


@router.post("/exam/sitting")
async def sit(page: CuratorPage) -> Response:
    """Lets the champion sit the exam as it is now."""
    await page.run(jobs.submit, page.workspace, ExamArguments(), page.caller)
    if page.wants_fragment:
        return page.fragment("exam/sitting.html", job=await _sitting(page))
    return page.see("/exam")


@router.get("/exam/sitting")
async def sitting(page: CuratorPage) -> Response:
    """How far the sitting is; the page anew, once it has ended."""
    job = await _sitting(page)
    has_ended = job is None or job.state in ENDED
    headers = {"HX-Refresh": "true"} if has_ended else {}
    return page.fragment("exam/sitting.html", headers=headers, job=job)


async def _sitting(page: Page) -> Job | None:
    return await page.run(exam_overview.latest_sitting, page.workspace)


async def _require(page: Page, version: int | None) -> Overview:
    seen = await page.run(exam_overview.overview, page.workspace, version)
    return exam_hard.require(seen)


for each in (exam_hard, exam_feedback, exam_questions, exam_evidence):
    router.include_router(each.router)
