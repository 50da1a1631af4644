"""The page /wheel: what waits for the next turn, the turn that runs, and the line of descent.

Curators look, owners act. Not here: a version's own page and what serves (wheel/versions.py), what
is drawn and compared (wheel/figures.py), the health of feedback (wheel/health.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from flywheel.serve.console.page import CuratorPage, OwnerPage, Page, PageError, PageForm
from flywheel.serve.console.rendering import moment
from flywheel.serve.console.wheel import figures as wheel_figures
from flywheel.serve.console.wheel import health as wheel_health
from flywheel.serve.console.wheel import versions as wheel_versions
from flywheel.serve.console.wheel.versions import overview
from flywheel.serve.console.wheel.words import duration, reason, slug, stage
from flywheel.store.jobs import Job, JobKind, TurnArguments
from flywheel.wheel import jobs
from flywheel.wheel.keys import Caller
from flywheel.wheel.pending import pending
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)
for each in (wheel_versions, wheel_figures, wheel_health):
    router.include_router(each.router)

NUM_TURNS = 20
"""Turns on one page of the list."""
NUM_OTHERS = 20
NUM_EARLIER = 5
"""Turns by which the length of the next one is guessed: the median of so many."""

_TURNS: tuple[JobKind, ...] = ("turn",)
_OTHERS: tuple[JobKind, ...] = ("add", "source", "exam")

Number = Annotated[int, Query(ge=0, le=2**31 - 1)]


class TurnForm(PageForm):
    """What a turn is told."""

    model: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """What runs, what waits behind it, and what the last turn came to."""

    active: tuple[Job, ...]
    last: Job | None
    """The last turn that ended."""
    usual_seconds: float | None
    """How long such turns took lately, where the first job is one and any ended."""

    @property
    def marks(self) -> str:
        """What tells whether more is another one than how much of a stage is done."""
        last = self.last.id[:8] if self.last else ""
        active = (f"{each.id[:8]}-{each.state}-{slug(each.progress.stage)}" for each in self.active)
        return ".".join([last, *active])

    @property
    def poll_seconds(self) -> int:
        """When to look again: a long turn asks for less, since each look counts as a request of
        whoever watches."""
        return 1 if self.seconds < 30 else 2 if self.seconds < 300 else 5

    @property
    def seconds(self) -> float:
        """How long the job that runs has taken so far."""
        started = self.active[0].started_at if self.active else None
        passed = (datetime.now(UTC) - moment(started)).total_seconds() if started else 0.0
        return max(0.0, passed)


@router.get("/wheel")
async def show(page: CuratorPage, before: Number = 0, now: Number = 0, was: Number = 0) -> Response:
    """The page.

    Args:
        before: goes on with the versions before this one.
        now, was: who serves since the owner went back, and who did until then.
    """
    seen = await page.run(overview, page.workspace, before)
    return page.html(
        "wheel/index.html",
        seen=seen,
        waits=await page.run(pending, page.workspace),
        now=await page.run(_now, page.workspace, page.caller),
        went_back=(now, was) if now and now == seen.champion else None,
        **_words(page),
    )


@router.get("/wheel/descent")
async def show_descent(page: CuratorPage) -> Response:
    """The line of descent alone, once a turn has ended."""
    seen = await page.run(overview, page.workspace, 0)
    waits = await page.run(pending, page.workspace)
    return page.fragment("wheel/descent.html", seen=seen, waits=waits, **_words(page))


@router.get("/wheel/now")
async def show_now(
    page: CuratorPage, seen: Annotated[str, Query(max_length=2000)] = ""
) -> Response:
    """How far it is: asked for every second while something runs.

    Args:
        seen: the marks of what is shown; with others all of it is shown anew, and said aloud.
    """
    now = await page.run(_now, page.workspace, page.caller)
    if now.active and now.marks == seen:
        return page.fragment("wheel/progress.html", now=now, is_new=False, **_words(page))
    headers = {"HX-Retarget": "#now", "HX-Reswap": "innerHTML"}
    if not now.active:
        headers["HX-Trigger"] = "turned"
    return page.fragment("wheel/now.html", headers=headers, now=now, is_new=True, **_words(page))


@router.get("/wheel/turns")
async def show_turns(
    page: CuratorPage, after: Annotated[str, Query(max_length=32)] = ""
) -> Response:
    """The turns that were, the latest first, and what else ran in the background."""
    behind = await page.run(jobs.get, page.workspace, after, page.caller.access) if after else None
    if after and behind is None:
        raise PageError(404, "wheel.no_job")
    turns = await page.run(
        jobs.list_jobs, page.workspace, NUM_TURNS + 1, behind, page.caller.access, _TURNS
    )
    others: list[Job] = []
    if page.caller.may("owner") and behind is None:
        others = await page.run(
            jobs.list_jobs, page.workspace, NUM_OTHERS, None, page.caller.access, _OTHERS
        )
    return page.html(
        "wheel/turns.html",
        turns=turns[:NUM_TURNS],
        next=turns[NUM_TURNS - 1].id if len(turns) > NUM_TURNS else "",
        first=not after,
        others=others,
        **_words(page),
    )


@router.post("/wheel/turns")
async def start(page: OwnerPage, form: Annotated[TurnForm, Form()]) -> Response:
    """Lets the worker build a version; where such a turn waits already, that is the one."""
    await page.run(jobs.submit, page.workspace, TurnArguments(model=form.model), page.caller)
    return await _shown(page)


@router.post("/wheel/jobs/{id}/cancel")
async def cancel(page: OwnerPage, id: str, form: Annotated[PageForm, Form()]) -> Response:
    """Cancels what waits or runs; what it has finished stays, and is not done again."""
    del form
    if await page.run(jobs.get, page.workspace, id, page.caller.access) is None:
        raise PageError(404, "wheel.no_job")
    await page.run(jobs.cancel, page.workspace, id, page.caller)
    return await _shown(page)


async def _shown(page: Page) -> Response:
    if not page.wants_fragment:
        return page.see("/wheel")
    now = await page.run(_now, page.workspace, page.caller)
    return page.fragment("wheel/now.html", now=now, is_new=True, **_words(page))


def _now(workspace: Workspace, caller: Caller) -> Now:
    active = jobs.active(workspace, caller.access)
    if not caller.may("owner"):
        active = [each for each in active if each.kind in ("turn", "exam")]
    turns = jobs.list_jobs(workspace, NUM_TURNS, kinds=_TURNS)
    ended = [each for each in turns if each.ended_at]
    return Now(
        active=tuple(active),
        last=ended[0] if ended else None,
        usual_seconds=_usual_seconds(active[0], ended) if active else None,
    )


def _usual_seconds(job: Job, ended: Sequence[Job]) -> float | None:
    """How long such turns took, where any did."""
    alike = [each for each in ended if each.state == "done" and each.arguments == job.arguments]
    took = [seconds for each in alike[:NUM_EARLIER] if (seconds := took_seconds(each)) is not None]
    return median(took) if took and job.kind == "turn" else None


def took_seconds(job: Job) -> float | None:
    """How long a job took, if it began and ended."""
    if job.started_at is None or job.ended_at is None:
        return None
    return (moment(job.ended_at) - moment(job.started_at)).total_seconds()


def _words(page: Page) -> dict[str, Any]:
    """What the templates say with."""
    t = page.t
    return {
        "reason": lambda told: reason(t, told),
        "stage": lambda name: stage(t, name),
        "duration": lambda seconds: duration(t, seconds),
        "took": took_seconds,
    }
