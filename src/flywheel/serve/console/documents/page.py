"""The page /documents: what was added and what became of it, and how more is added.

One document's page is in document.py, the pictures are in documents/report.py. Files come in by
/v1/documents; the worker stages them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.serve.console.documents import document
from flywheel.serve.console.documents import report as document_report
from flywheel.serve.console.documents.words import (
    TONES,
    Told,
    all_told,
    chosen_labels,
    known_labels,
    name_of,
)
from flywheel.serve.console.page import OwnerPage, PageError, PageForm
from flywheel.store import document_list
from flywheel.store.document_list import Row, Wanted
from flywheel.store.jobs import ENDED, AddArguments, Job, SourceArguments, TurnArguments
from flywheel.wheel import jobs, uploads
from flywheel.wheel.documents import acts as document_acts
from flywheel.wheel.documents import report as counting
from flywheel.wheel.documents.reasons import explained
from flywheel.wheel.documents.report import FATES, Overview, Standing
from flywheel.wheel.uploads import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
MAX_SOURCES = 40
"""Sources that the page shows; a command can have added a thousand single files."""
MAX_CHOICES = 100
"""Sources that one can choose among."""
MAX_ACTIVE = 5
"""Jobs that the page shows as under way."""

_Word = Annotated[str, Query(max_length=4096)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One page of the list, with what stands around it."""

    rows: tuple[Row, ...]
    told: dict[str, Told]
    next: str
    """The id of the last document, where there are more."""
    overview: Overview
    standing: Standing
    turn: Job | None
    """The turn that waits or runs."""
    jobs: tuple[Job, ...]
    """Adds that wait or run."""


@router.get("/documents")
async def show(
    page: OwnerPage,
    q: _Word = "",
    fate: _Word = "",
    source: _Word = "",
    label: _Word = "",
    after: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The list: all documents, or those that are looked for."""
    wanted = Wanted(words=q.strip(), fate=fate, source=source, label=label)
    found = await page.run(_find, page.workspace, wanted, after, page.caller.access)
    asked = {"q": wanted.words, "fate": fate, "source": source, "label": label}

    def address(**changed: str) -> str:
        given = {name: value for name, value in (asked | changed).items() if value}
        return "/documents" + (f"?{urlencode(given)}" if given else "")

    return page.html(
        "documents/index.html",
        found=found,
        sources=found.overview.sources[:MAX_CHOICES],
        wanted=wanted,
        address=address,
        is_searched=any(asked.values()),
        after=after,
        fates=FATES,
        tones=TONES,
        name_of=name_of,
        known=known_labels(page) if not found.overview.num_documents else (),
        is_free=page.caller.access is None,
        max_upload=page.service.settings.max_upload_megabytes,
    )


@router.get("/documents/add")
async def show_adding(
    page: OwnerPage, source: _Word = "", job: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """Where files are dropped, and sources are read again."""
    found = await page.run(_around, page.workspace, page.caller.access)
    asked = await page.run(jobs.get, page.workspace, job, page.caller.access) if job else None
    shown = {each.id: each for each in found.jobs} | ({asked.id: asked} if asked else {})
    return page.html(
        "documents/add.html",
        found=found,
        jobs=[_view(each) for each in shown.values()],
        sources=found.overview.sources[:MAX_SOURCES],
        num_more=max(0, len(found.overview.sources) - MAX_SOURCES),
        asked_source=source,
        folders=page.service.settings.folders,
        known=known_labels(page),
        is_free=page.caller.access is None,
        max_upload=page.service.settings.max_upload_megabytes,
        tones=TONES,
    )


@router.get("/documents/jobs/{id}")
async def show_job(page: OwnerPage, id: str) -> Response:
    """How far an add has come, and what it came to; asked again each second until it has ended."""
    job = await page.run(jobs.get, page.workspace, id, page.caller.access)
    if job is None or not isinstance(job.arguments, AddArguments | SourceArguments):
        raise PageError(404, "documents.job.not_there")
    return page.fragment("documents/job.html", job=_view(job), tones=TONES)


class SourceForm(PageForm):
    """What is read, and for whom."""

    source: str = Field(default="", max_length=4096)
    keep: bool = Field(default=False, description="Keeps the labels that it has.")
    access: list[str] = Field(default_factory=list, max_length=200)
    labels: str = Field(default="", max_length=2000)


@router.post("/documents/sources")
async def read_source(page: OwnerPage, form: Annotated[SourceForm, Form()]) -> Response:
    """Lets the worker read a file or folder of this machine, again or for the first time."""
    labels = None if form.keep else chosen_labels(form.access, form.labels)
    try:
        job = await page.run(
            document_acts.read_source, page.workspace, form.source, labels, page.caller
        )
    except Refused as error:
        raise PageError(400, f"documents.refused.{error.cause}") from error
    if job is None:
        raise PageError(403, "documents.folder.refused", name=form.source[:200])
    return page.see(f"/documents/add?job={job.id}")


@router.post("/documents/turn")
async def start_turn(page: OwnerPage, form: Annotated[PageForm, Form()]) -> Response:
    """Lets what waits be answered from: asks for a turn, and shows it."""
    await page.run(jobs.submit, page.workspace, TurnArguments(), page.caller)
    return page.see("/wheel")


def _find(workspace: Workspace, wanted: Wanted, after: str, labels: Sequence[str] | None) -> Found:
    around = _around(workspace, labels)
    last = uploads.find(workspace, after, labels) if after else None
    place = (last.source, last.path) if last else None
    with workspace.database.read() as conn:
        rows = document_list.page(conn, wanted, PER_PAGE + 1, place, labels)
    shown = tuple(rows[:PER_PAGE])
    return Found(
        rows=shown,
        told=all_told(workspace, shown, labels),
        next=shown[-1].id if len(rows) > PER_PAGE else "",
        overview=around.overview,
        standing=around.standing,
        turn=around.turn,
        jobs=around.jobs,
    )


def _around(workspace: Workspace, labels: Sequence[str] | None) -> Found:
    """What is there besides a list's rows."""
    active = [
        each for each in jobs.list_jobs(workspace, 50, labels=labels) if each.state not in ENDED
    ]
    adds = [each for each in active if isinstance(each.arguments, AddArguments | SourceArguments)]
    return Found(
        rows=(),
        told={},
        next="",
        overview=counting.overview(workspace, labels),
        standing=counting.standing(workspace, labels),
        turn=next((each for each in active if each.kind == "turn"), None),
        jobs=tuple(adds[-MAX_ACTIVE:]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """A job, as the page shows it."""

    job: Job
    is_active: bool
    name: str
    """The source that it reads; empty for uploads."""
    files: tuple[str, ...]
    fates: dict[str, int]
    rows: tuple[tuple[dict[str, str], Told], ...]
    """What became of its files, those that were set aside first."""
    num_more: int
    """Files that it does not name."""


def _view(job: Job) -> JobView:
    arguments, result = job.arguments, job.result
    rows = result.get("documents", [])
    fates = result.get("fates", {})
    return JobView(
        job=job,
        is_active=job.state not in ENDED,
        name=arguments.source if isinstance(arguments, SourceArguments) else "",
        files=arguments.files if isinstance(arguments, AddArguments) else (),
        fates={fate: fates[fate] for fate in (*FATES, "unchanged") if fates.get(fate)},
        # Whoever may see the job may read what it added under these labels.
        rows=tuple((each, Told(reason=explained(_reason(each)))) for each in rows),
        num_more=max(0, sum(fates.values()) - len(rows)),
    )


def _reason(row: dict[str, str]) -> str:
    """Of an unchanged file the reason that it has had before, which stands behind its fate."""
    if row["fate"] != "unchanged":
        return row["reason"]
    return row["reason"].partition(": ")[2]


router.include_router(document_report.router)
router.include_router(document.router)
