"""The page /documents."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.page import OwnerPage

router = APIRouter(include_in_schema=False)


@router.get("/documents")
async def show(page: OwnerPage) -> Response:
    """The page."""
    return page.html("documents/index.html")
