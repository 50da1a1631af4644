"""/settings/workspace and /settings/about: what is set, what this is, and how the machine is."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.page import OwnerPage
from flywheel.serve.console.settings.keys import origin
from flywheel.wheel.doctor import examine as doctor
from flywheel.wheel.setting_list import setting_list
from flywheel.wheel.settings import FILE

router = APIRouter()

DISTRIBUTION = "flywheel-assistant"

VENDORED = (("htmx", "2.0.11", "0BSD"),)
"""What is not ours in static/: its name, version and licence."""


@router.get("/settings/workspace")
async def settings(page: OwnerPage) -> Response:
    """Every setting in force."""
    listed = await page.run(setting_list, page.workspace)
    return page.html("settings/workspace.html", listed=listed, file=FILE, tab="workspace")


@router.get("/settings/about")
async def about(page: OwnerPage) -> Response:
    """What this is, and where programs find it."""
    return page.html(
        "settings/about.html",
        version=importlib.metadata.version(DISTRIBUTION),
        vendored=VENDORED,
        origin=origin(page),
        tab="about",
    )


@router.get("/settings/about/checks")
async def checks(page: OwnerPage) -> Response:
    """What the doctor finds that is quick to look at: a part of the page, fetched after it."""
    root = page.workspace.root
    found = await page.run(doctor.examine, root, doctor.QUICK)
    # Where the workspace lies is nothing that a page need tell.
    told = [
        replace(each, what=_local(each.what, root), advice=_local(each.advice, root))
        for each in found
    ]
    return page.fragment("settings/checks.html", found=told)


def _local(text: str, root: Path) -> str:
    return text.replace(f"{root}/", "").replace(str(root), root.name)
