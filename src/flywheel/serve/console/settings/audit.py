"""/settings/audit: who did what, when, and to what. Nothing is changed here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from flywheel.serve.console.page import OwnerPage, Page
from flywheel.serve.console.words import catalogue
from flywheel.store.audit import Entry
from flywheel.wheel import audit, keys
from flywheel.wheel.audit import AuditPage, Wanted
from flywheel.wheel.workspace import Workspace

router = APIRouter()

PAGE_SIZE = 50

_OF_KEYS = ("keys.", "sessions.")
"""What begins so is done to a key."""
_ACT = "settings.act."

Who = Annotated[str, Query(max_length=500)]
"""`=` and a name, which is empty for those who were erased; or nothing, for everybody."""
Action = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """What a page of the log needs."""

    page: AuditPage
    users: Sequence[str]
    names: dict[str, str]
    """Of the keys that something was done to, by their ids."""


@router.get("/settings/audit")
async def show(
    page: OwnerPage,
    who: Who = "",
    action: Action = "",
    before: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
) -> Response:
    """A page of what was done, the latest first."""
    wanted = _wanted(who, action)
    shown = await page.run(_shown, page.workspace, wanted, before)
    chosen = {"who": who, "action": action}
    return page.html(
        "settings/audit.html",
        shown=shown,
        wanted=wanted,
        actions=_actions(page, action),
        who=who,
        is_first=before is None,
        first=_address("/settings/audit", chosen),
        next="" if shown.page.before is None else _next(chosen, shown.page.before),
        export=_address("/settings/audit.jsonl", chosen),
        tab="audit",
    )


@router.get("/settings/audit.jsonl")
async def export(page: OwnerPage, who: Who = "", action: Action = "") -> Response:
    """All of it, a line each."""
    return StreamingResponse(
        _pieces(page, _wanted(who, action)),
        media_type="application/x-ndjson",
        headers={
            "Content-Disposition": 'attachment; filename="flywheel-audit.jsonl"',
            "Cache-Control": "no-store",
        },
    )


async def _pieces(page: Page, wanted: Wanted) -> AsyncIterator[bytes]:
    pieces = audit.exported(page.workspace.database, wanted)
    while piece := await page.run(next, pieces, ""):
        yield piece.encode("utf-8", "backslashreplace")


def _shown(workspace: Workspace, wanted: Wanted, before: int | None) -> _Shown:
    database = workspace.database
    found = audit.page(database, wanted, limit=PAGE_SIZE, before=before)
    return _Shown(
        page=found,
        users=audit.users(database),
        names=keys.names(database, filter(None, map(_key_of, found.entries))),
    )


def _key_of(entry: Entry) -> str:
    return entry.act.target if entry.act.action.startswith(_OF_KEYS) else ""


def _wanted(who: str, action: str) -> Wanted:
    return Wanted(user=who[1:] if who.startswith("=") else None, action=action.strip())


def _actions(page: Page, chosen: str) -> list[str]:
    """To choose from: all that have words of their own, and what is chosen already."""
    known = {each.removeprefix(_ACT) for each in catalogue("en") if each.startswith(_ACT)}
    known |= {chosen} if chosen else set()
    return sorted(known, key=lambda each: page.t.of("settings.act", each))


def _next(chosen: dict[str, str], before: int) -> str:
    return _address("/settings/audit", chosen | {"before": str(before)})


def _address(path: str, values: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path
