"""The page /wheel."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.page import CuratorPage

router = APIRouter(include_in_schema=False)


@router.get("/wheel")
async def show(page: CuratorPage) -> Response:
    """The page."""
    return page.html("wheel/index.html")
