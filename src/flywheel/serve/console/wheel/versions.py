"""Versions in the console: the line of descent, a version's own page, promoting and going back.

Who promotes or goes back says which champion he saw: where another serves meanwhile, nothing is
changed, and he is shown who let it serve and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from flywheel.errors import FlywheelError, StoreError, UsageError
from flywheel.serve.console.page import CuratorPage, OwnerPage, Page, PageError, PageForm
from flywheel.serve.console.wheel.words import reason, size
from flywheel.serve.versions import MAX_REASON_CHARS
from flywheel.store import versions as version_store
from flywheel.store.versions import Promotion, Version
from flywheel.wheel import versions
from flywheel.wheel.cost import num_bytes
from flywheel.wheel.descent import Descent, Row, descent
from flywheel.wheel.learning_curve import num_learned
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

NUM_ROWS = 30
"""Versions on one page of the line of descent."""
MAX_LANES = 6
"""Lanes that are drawn; what stands further out is drawn in the last one."""

_PARTS = ("index", "ranker", "writers", "quote", "decide", "embedding")
"""What one version may have otherwise than another, as people know it."""

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class ServeForm(PageForm):
    """Why another version is to serve, and which one the owner saw serving."""

    reason: str = Field(default="", max_length=MAX_REASON_CHARS)
    champion: int = Field(default=0, ge=0, le=2**31 - 1)
    """0 where none did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The line of descent, as far as one page shows it."""

    rows: tuple[Row, ...]
    learned: Mapping[int, int]
    """How many acts of feedback each version learned from."""
    champion: int | None
    standing: Version | None
    """The version that serves."""
    since: Promotion | None
    """How it came to serve."""
    before: int | None
    """Which one served until then."""
    back: int | None
    """Where going back would lead."""
    num_lanes: int
    primary: str
    next: int
    """The last version that is shown, where there are earlier ones; else 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One version, with all that its page shows."""

    row: Row
    champion: int | None
    standing: Version | None
    kinds: Mapping[str, int]
    """The feedback that it learned from, by kind."""
    num_documents: int
    num_bytes: int
    changes: tuple[str, ...]
    """What is otherwise than in the version that serves."""
    primary: str
    guards: tuple[str, ...]


def overview(workspace: Workspace, before: int = 0) -> Overview:
    """The line of descent from the newest version on, or from those before one."""
    found = descent(workspace)
    rows = [each for each in found.rows if not before or each.version.number < before]
    shown = rows[:NUM_ROWS]
    with workspace.database.read() as conn:
        learned = num_learned(workspace, conn, [each.version.number for each in shown])
    return Overview(
        rows=tuple(shown),
        learned=learned,
        champion=found.champion,
        standing=_of(found, found.champion),
        since=found.history[-1] if found.history else None,
        before=_served_before(found),
        back=_back(found),
        num_lanes=min(found.num_lanes, MAX_LANES),
        primary=workspace.settings.gate.primary,
        next=shown[-1].version.number if len(rows) > NUM_ROWS else 0,
    )


@router.get("/wheel/versions/{number}")
async def show(page: CuratorPage, number: Number) -> Response:
    """A version's own page."""
    return await _shown(page, number)


@router.post("/wheel/versions/{number}/promote")
async def promote(page: OwnerPage, number: Number, form: Annotated[ServeForm, Form()]) -> Response:
    """Lets a version serve from the next question on, whatever the gate said of it."""
    try:
        await page.run(
            versions.promote,
            page.workspace,
            number,
            page.caller.name,
            form.reason.strip(),
            page.caller,
            _unmoved(page, form.champion),
        )
    except PageError as error:
        return await _shown(page, number, error)
    except (UsageError, StoreError) as error:
        told = PageError(400, "wheel.cannot_serve", number=number, why=str(error))
        return await _shown(page, number, told)
    return page.see("/wheel")


@router.post("/wheel/rollback")
async def rollback(page: OwnerPage, form: Annotated[ServeForm, Form()]) -> Response:
    """Goes back to the champion before; again, to the one before that."""
    try:
        done = await page.run(
            versions.rollback,
            page.workspace,
            page.caller.name,
            form.reason.strip(),
            page.caller,
            _unmoved(page, form.champion),
        )
    except (UsageError, StoreError) as error:
        raise PageError(400, "wheel.cannot_go_back", why=str(error)) from error
    return page.see(f"/wheel?now={done.champion}&was={done.before or 0}")


def _unmoved(page: Page, champion: int) -> Callable[[Connection], None]:
    """Refuses where another version serves than the one that was seen."""

    def check(conn: Connection) -> None:
        standing = version_store.champion(conn)
        number = standing.number if standing else 0
        if number == champion:
            return
        history = version_store.history(conn)
        last = history[-1] if history else None
        who = last.user if last and last.user else page.t.of("wheel.by", last.by if last else "")
        told = {"number": number, "user": who, "at": last.at[:16].replace("T", " ") if last else ""}
        raise PageError(409, "wheel.moved", code="champion_moved", **told)

    return check


async def _shown(page: Page, number: int, error: PageError | None = None) -> Response:
    seen = await page.run(_seen, page.workspace, number)
    if seen is None:
        raise PageError(404, "wheel.no_version", number=number)
    t = page.t
    return page.html(
        "wheel/version.html",
        status=error.status if error else 200,
        seen=seen,
        told=t(error.key, **error.values) if error else "",
        reason=lambda each: reason(t, each),
        size=size,
        writes_in=", ".join(
            t.of("wheel.written_in", each)
            for each in sorted(seen.row.version.bundle.get("writers", {}))
        ),
    )


def _seen(workspace: Workspace, number: int) -> Seen | None:
    found = descent(workspace)
    row = next((each for each in found.rows if each.version.number == number), None)
    if row is None:
        return None
    version, standing = row.version, _of(found, found.champion)
    with workspace.database.read() as conn:
        kinds = version_store.count_kinds(conn, number)
        num_documents = version_store.num_held(conn, version.bundle["index"])
    rules = workspace.settings.gate
    return Seen(
        row=row,
        champion=found.champion,
        standing=standing,
        kinds=kinds,
        num_documents=num_documents,
        num_bytes=_num_bytes(workspace, version),
        changes=tuple(_changes(standing.bundle, version.bundle)) if standing else (),
        primary=rules.primary,
        guards=rules.guards,
    )


def _num_bytes(workspace: Workspace, version: Version) -> int:
    try:
        return num_bytes(workspace, version.bundle)
    except (OSError, FlywheelError):  # an erasure, or whoever else, takes it away just now
        return 0


def _changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The parts in which two bundles differ."""
    return [part for part in _PARTS if (one.get(part) or None) != (other.get(part) or None)]


def _of(found: Descent, number: int | None) -> Version | None:
    return next((each.version for each in found.rows if each.version.number == number), None)


def _served_before(found: Descent) -> int | None:
    """The version that served until the champion came to serve last."""
    return found.history[-2].version if len(found.history) > 1 else None


def _back(found: Descent) -> int | None:
    """The champion before that was not erased. Whether its files are whole is seen on the way."""
    erased = {each.version.number for each in found.rows if each.version.erased}
    way = versions.way_back(found.history)
    return next((number for number in way if number not in erased), None)
