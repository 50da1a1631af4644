"""What helps to write a question of the exam: passages to quote, and what asks nearly the same.

Parts of the form of a question (exam/questions.py), asked for by it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from flywheel.records import Passage
from flywheel.serve.console.page import CuratorPage
from flywheel.wheel.exam import overview as exam_overview
from flywheel.wheel.exam import questions as exam_questions

router = APIRouter(include_in_schema=False)

MAX_NEAR = 5
NUM_PASSAGES = 6


@router.get("/exam/near")
async def near(
    page: CuratorPage,
    question: Annotated[str, Query(max_length=5_000)] = "",
    key: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What asks nearly the same."""
    found = None
    if question.strip():
        found = await page.run(
            exam_questions.near, page.workspace, question, page.caller.access, key
        )
    return page.fragment("exam/near.html", near=found, most=MAX_NEAR)


@router.get("/exam/passages")
async def passages(page: CuratorPage, find: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Passages to pick evidence from."""
    found: list[Passage] = []
    if find.strip():
        found = await page.run(
            exam_overview.search, page.workspace, find, page.caller.access, NUM_PASSAGES
        )
    return page.fragment("exam/passages.html", found=found, find=find)
