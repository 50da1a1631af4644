"""/settings: who may call. A key's secret is shown once, as the reply to the form that made it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.errors import UsageError
from flywheel.records import PUBLIC, Role
from flywheel.serve.auth import is_encrypted
from flywheel.serve.console.page import OwnerPage, Page, PageError, PageForm
from flywheel.store.keys import Key
from flywheel.wheel import keys
from flywheel.wheel.keys import MAX_LABELS, MAX_NAME_CHARS, Caller, LastOwner
from flywheel.wheel.workspace import Workspace

router = APIRouter()

PAGE_SIZE = 50
DAYS = (7, 30, 90, 365)
"""To choose from; without a number a key holds for ever."""

_MAX_CHARS = 10_000


class NewKey(PageForm):
    """A key to make."""

    name: str = Field(default="", max_length=_MAX_CHARS)
    role: Role = "asker"
    label: list[Annotated[str, Field(max_length=_MAX_CHARS)]] = Field(default=[], max_length=1000)
    """Those that were ticked."""
    others: str = Field(default="", max_length=_MAX_CHARS)
    """Those that were written, with commas between them."""
    days: Literal["", "7", "30", "90", "365"] = ""

    @property
    def labels(self) -> list[str]:
        """All of them, each once."""
        written = (each.strip() for each in self.others.replace("，", ",").split(","))
        return list(dict.fromkeys([*self.label, *filter(None, written)]))


@router.get("/settings")
async def show(
    page: OwnerPage,
    ended: Annotated[Literal["", "1"], Query()] = "",
    before: Annotated[str, Query(max_length=200)] = "",
    done: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The keys that hold, or those that do not any more; and the form for another one."""
    return await _shown(page, NewKey(), ended=bool(ended), before=before, done=done)


@router.get("/settings/keys")
async def back(page: OwnerPage) -> Response:
    """Where a browser asks again for the page that told a secret: it is told once."""
    return page.see("/settings")


@router.post("/settings/keys")
async def make(page: OwnerPage, form: Annotated[NewKey, Form()]) -> Response:
    """Makes a key, and tells its secret this once."""
    if problem := _problem(form, page.caller):
        return await _shown(page, form, problem=problem, status=400)
    access: list[str] | None = form.labels
    if form.role == "owner" and not access and page.caller.access is None:
        access = None  # reads everything
    days = int(form.days) if form.days else None
    database = page.workspace.database
    made = await page.run(keys.add, database, form.name, form.role, access, days, by=page.caller)
    unknown = await page.run(keys.carried_by_none, database, made.key.access or ())
    return page.html(
        "settings/made.html", made=made, unknown=unknown, origin=origin(page), tab="keys"
    )


@router.get("/settings/keys/{id}")
async def ask(page: OwnerPage, id: str) -> Response:
    """Whether to revoke a key, and what that means."""
    key = await _key(page, id)
    return page.html(
        "settings/revoke.html",
        key=key,
        state=keys.state_of(key),
        is_own=key.id == page.caller.key,
        is_last=await page.run(keys.is_last_owner, page.workspace.database, key),
        tab="keys",
    )


@router.post("/settings/keys/{id}/revoke")
async def revoke(page: OwnerPage, id: str, form: Annotated[PageForm, Form()]) -> Response:
    """Lets nobody in by a key from now on; who revokes his own is signed out."""
    await _key(page, id)
    try:
        await page.run(
            keys.revoke, page.workspace.database, id, by=page.caller, spare_last_owner=True
        )
    except LastOwner:
        raise PageError(409, "settings.keys.last") from None
    except UsageError:
        raise PageError(409, "settings.keys.revoked_before") from None
    page.service.callers.forget()
    return page.see("/signin" if id == page.caller.key else "/settings?done=revoked")


def origin(page: Page) -> str:
    """The server's address, as this browser reaches it."""
    scheme = "https" if is_encrypted(page.request) else "http"
    return f"{scheme}://{page.request.url.netloc}"


async def _shown(
    page: Page,
    form: NewKey,
    *,
    ended: bool = False,
    before: str = "",
    done: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    listed = await page.run(_listed, page.workspace, page.caller, ended, _place(before))
    shown, last = listed["found"][:PAGE_SIZE], len(listed["found"]) <= PAGE_SIZE
    return page.html(
        "settings/keys.html",
        status=status,
        keys=[(each, keys.state_of(each)) for each in shown],
        next="" if last else f"{shown[-1].created_at}~{shown[-1].id}",
        labels=listed["labels"],
        form=form,
        days=DAYS,
        ended=ended,
        before=before,
        done=done if done == "revoked" else "",
        problem=problem,
        tab="keys",
    )


def _listed(
    workspace: Workspace, caller: Caller, ended: bool, before: tuple[str, str] | None
) -> dict[str, Any]:
    database = workspace.database
    return {
        "found": keys.page(database, PAGE_SIZE + 1, valid=not ended, before=before),
        "labels": keys.labels(database, caller)[:MAX_LABELS],
    }


def _place(before: str) -> tuple[str, str] | None:
    at, mark, id = before.partition("~")
    return (at, id) if mark else None


async def _key(page: Page, id: str) -> Key:
    key = await page.run(keys.get, page.workspace.database, id)
    if key is None:
        raise PageError(404, "settings.keys.unknown")
    return key


def _problem(form: NewKey, caller: Caller) -> str:
    """The key of the text that says why a form makes no key; empty where it does."""
    if not _is_line(form.name):
        return "name"
    if not all(map(_is_line, form.labels)) or len(form.labels) >= MAX_LABELS:
        return "labels"
    if caller.access is not None and not {*form.labels} <= {PUBLIC, *caller.access}:
        return "grant"
    return ""


def _is_line(text: str) -> bool:
    return 0 < len(text.strip()) <= MAX_NAME_CHARS and text.strip().isprintable()
