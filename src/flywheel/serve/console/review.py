"""The page /review."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.page import CuratorPage

router = APIRouter(include_in_schema=False)


@router.get("/review")
async def show(page: CuratorPage) -> Response:
    """The page."""
    return page.html("review/index.html")
