"""Whether feedback can be learned from, as it was last measured; a curator may measure it anew."""

from __future__ import annotations

from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.responses import Response

from flywheel.serve.console.page import CuratorPage, PageError, PageForm
from flywheel.serve.console.wheel.words import left_out, measure, slug, verdict
from flywheel.wheel import health_report
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

TONES = {"good": "good", "look": "warn", "too few": "neutral"}

_measuring = Lock()
"""Held by the one who measures: it reads all feedback, and once at a time is enough."""


@router.get("/wheel/health")
async def show(page: CuratorPage) -> Response:
    """The page."""
    t = page.t
    found = await page.run(health_report.kept, page.workspace)
    return page.html(
        "wheel/health.html",
        kept=found,
        tones=TONES,
        slug=slug,
        measure=lambda each: measure(t, each),
        verdict=lambda each: verdict(t, each, found.loudest),
        left_out=lambda why: left_out(t, why),
    )


@router.post("/wheel/health")
async def measure_anew(page: CuratorPage, form: Annotated[PageForm, Form()]) -> Response:
    """Measures now what else a turn measures at its end."""
    del form
    if not await page.run(_measured, page.workspace):
        raise PageError(409, "wheel.measuring")
    return page.see("/wheel/health")


def _measured(workspace: Workspace) -> bool:
    """Whether nobody else was at it."""
    if not _measuring.acquire(blocking=False):
        return False
    try:
        health_report.measure(workspace)
    finally:
        _measuring.release()
    return True
