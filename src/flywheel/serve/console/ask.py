"""The page /ask."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.page import AskerPage

router = APIRouter(include_in_schema=False)


@router.get("/ask")
async def show(page: AskerPage) -> Response:
    """The page."""
    return page.html("ask/index.html")
