"""The page /documents/ID: where a document comes from, what became of it, and its passages.

What its owner does here is done by wheel/documents/acts.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.errors import WorkspaceBusy
from flywheel.serve.console.documents.words import (
    TONES,
    chosen_labels,
    known_labels,
    name_of,
    size_of,
    told,
)
from flywheel.serve.console.page import OwnerPage, PageError, PageForm
from flywheel.wheel import uploads
from flywheel.wheel.documents import acts as document_acts
from flywheel.wheel.documents import editions
from flywheel.wheel.documents import page as document_page
from flywheel.wheel.documents.page import DocumentPage
from flywheel.wheel.uploads import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flywheel.collect.quality import QualitySettings
    from flywheel.serve.console.page import Page
    from flywheel.store.documents import StagedDocument
    from flywheel.store.jobs import Job
    from flywheel.wheel.documents.editions import Difference, Row

router = APIRouter(include_in_schema=False)

MAX_CHARS = 12_000
"""Of a difference, on one page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """Something that was measured of a text."""

    name: str
    value: float
    is_share: bool
    limit: float | None = None
    """What lies beyond is dropped."""


@router.get("/documents/{id}")
async def show(
    page: OwnerPage, id: str, after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1
) -> Response:
    """The page."""
    found = await _look(page, id, after)
    document = found.document
    readable = {found.other.id: found.other} if found.other else {}
    return page.html(
        "documents/document.html",
        found=found,
        document=document,
        name=name_of(document.title, document.path),
        told=told(document.reason, document.other, readable),
        size=size_of(page.t, document.size),
        modified=_time_of(document.modified),
        signals=signals(document, page.workspace.settings.collect.quality),
        is_uploaded=uploads.is_uploaded(document.source),
        is_part="!/" in document.path,
        known=sorted({*known_labels(page), *_own_labels(document)}),
        is_free=page.caller.access is None,
        after=after,
        tones=TONES,
        name_of=name_of,
    )


@router.get("/documents/{id}/difference")
async def show_difference(
    page: OwnerPage,
    id: str,
    served: bool = False,
    start: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """What the document says otherwise than the one that it gave way to; or than the version that
    serves has it."""
    found = await _look(page, id)
    if served:
        difference = await page.run(document_page.since_served, page.workspace, id)
    elif found.other is None:
        raise PageError(404, "documents.not_there")
    else:
        difference = await page.run(document_page.between, page.workspace, id, found.other.id)
    rows, following = _portion(difference, start)
    return page.html(
        "documents/difference.html",
        document=found.document,
        name=name_of(found.document.title, found.document.path),
        other=found.document if served else found.other,
        served=served,
        version=found.version,
        difference=difference,
        most=editions.MAX_PARAGRAPHS,
        rows=rows,
        start=start,
        following=following,
    )


@router.get("/documents/{id}/citing")
async def show_citing(page: OwnerPage, id: str) -> Response:
    """The answers that cited it lately; the page loads it after itself."""
    await _look(page, id)
    found = await page.run(document_page.citing, page.workspace, id, page.caller)
    return page.fragment("documents/citing.html", found=found)


class LabelsForm(PageForm):
    """Who may read it from now on."""

    access: list[str] = Field(default_factory=list, max_length=200)
    labels: str = Field(default="", max_length=2000)
    seen: list[str] = Field(default_factory=list, max_length=200)
    """The labels that whoever changes them saw."""


@router.post("/documents/{id}/labels")
async def relabel(page: OwnerPage, id: str, form: Annotated[LabelsForm, Form()]) -> Response:
    """Gives an uploaded file other labels."""
    found = await _look(page, id)
    if set(form.seen) != set(found.document.access):
        raise PageError(409, "documents.labels.changed", labels=", ".join(found.document.access))
    chosen = chosen_labels(form.access, form.labels)
    job = await _act(page, document_acts.relabel, found.document, chosen)
    return page.see(f"/documents/add?job={job.id}")


@router.post("/documents/{id}/delete")
async def delete(page: OwnerPage, id: str, form: Annotated[PageForm, Form()]) -> Response:
    """Deletes an uploaded file."""
    found = await _look(page, id)
    job = await _act(page, document_acts.delete, found.document)
    return page.see(f"/documents/add?job={job.id}")


async def _look(page: Page, id: str, after: int = -1) -> DocumentPage:
    found = await page.run(document_page.look, page.workspace, id, page.caller.access, after)
    if found is None:
        raise PageError(404, "documents.not_there")
    return found


async def _act(page: Page, act: Callable[..., Job], document: StagedDocument, *rest: object) -> Job:
    """Does something to a document, and tells in the page's language what cannot be done."""
    try:
        return await page.run(act, page.workspace, document, *rest, page.caller)
    except WorkspaceBusy as error:
        raise PageError(409, "documents.busy") from error
    except Refused as error:
        raise PageError(400, f"documents.refused.{error.cause}") from error


def signals(document: StagedDocument, limits: QualitySettings) -> list[Signal]:
    """What was measured of its text, the plainest first."""
    measured = document.quality
    shares = {
        "han_share": None,
        "repeated_share": limits.max_repeated,
        "navigation_share": limits.max_navigation,
        "symbol_share": limits.max_symbols,
        "garbage_share": limits.max_garbage,
        "compressed_share": None,
    }
    counts = [
        Signal(name=name, value=measured[name], is_share=False)
        for name in ("num_chars", "num_lines")
        if name in measured
    ]
    return counts + [
        Signal(name=name, value=measured[name], is_share=True, limit=limit)
        for name, limit in shares.items()
        if name in measured
    ]


def _time_of(seconds: float) -> str:
    """A file's time as the store keeps times; empty where it has none that can be."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds > 0 else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _own_labels(document: StagedDocument) -> Sequence[str]:
    return [each for each in document.access if each != "public"]


def _portion(difference: Difference | None, start: int) -> tuple[list[Row], int]:
    """The rows from one on that make a page, and where the next one begins; 0 where none does."""
    if difference is None:
        return [], 0
    rows: list[Row] = []
    num_chars = 0
    for place, row in enumerate(difference.rows[start:], start):
        size = sum(len(each.text) for each in (*row.older, *row.newer))
        if rows and num_chars + size > MAX_CHARS:
            return rows, place
        num_chars += size
        rows.append(row)
    return rows, 0
