"""Champion against challenger, and the learning curve: tables, and the pictures beside them.

What is compared is what was kept of both sittings, as the gate would compare it; no exam is sat for
a page. Not here: what decided (wheel/gate.py) and what the pictures are drawn with (pictures.py).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from flywheel.evaluate.compare import Comparison
from flywheel.serve.console.page import CuratorPage, Page, PageError
from flywheel.serve.console.pictures import picture_response
from flywheel.serve.console.wheel.pictures import curve, gains
from flywheel.serve.console.wheel.words import reason
from flywheel.store import erasures, exam_rows
from flywheel.store import versions as version_store
from flywheel.store.versions import Version
from flywheel.wheel import comparison, learning_curve
from flywheel.wheel.comparison import EVERYTHING, Compared
from flywheel.wheel.learning_curve import Point
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

MAX_POINTS = 200
"""Versions in the learning curve, the latest."""
_MAX_KEPT = 64

Number = Annotated[int, Query(ge=0, le=2**31 - 1)]
Verdict = Literal["better", "worse", "alike"]

_kept: OrderedDict[tuple[Any, ...], Compared | None] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two versions that are compared, and what else there is to choose."""

    numbers: tuple[int, ...]
    """Of all versions, the newest first."""
    champion: int | None
    a: Version
    b: Version


@router.get("/wheel/compare")
async def show(page: CuratorPage, a: Number = 0, b: Number = 0) -> Response:
    """Two versions beside each other: without a choice, who serves and who was against him."""
    pair = await page.run(_pair, page.workspace, a, b)
    t = page.t
    return page.html(
        "wheel/compare.html", pair=pair, reason=lambda each: reason(t, each), rules=_rules(page)
    )


@router.get("/wheel/compare/figures")
async def show_figures(page: CuratorPage, a: Number, b: Number) -> Response:
    """What the second gains over the first, metric by metric."""
    pair = await page.run(_require, page.workspace, a, b)
    compared = await page.run(_compared, page.workspace, pair)
    return page.fragment(
        "wheel/figures.html",
        pair=pair,
        compared=compared,
        whole=compared.gains[EVERYTHING] if compared else (),
        parts_apart={} if compared is None else _apart(compared),
        verdict=verdict,
        rules=_rules(page),
    )


@router.get("/wheel/compare/picture.svg")
async def draw_gains(page: CuratorPage, a: Number, b: Number) -> Response:
    """The gains with their intervals, drawn."""
    pair = await page.run(_require, page.workspace, a, b)
    compared = await page.run(_compared, page.workspace, pair)
    if compared is None:
        raise PageError(404, "wheel.not_kept")
    whole, t = compared.gains[EVERYTHING], page.t
    return await picture_response(page, lambda palette: gains(whole, t, palette))


@router.get("/wheel/learning")
async def show_learning(page: CuratorPage, by: Literal["acts", "time"] = "acts") -> Response:
    """The versions' scores over what they learned from, or over time."""
    points = await page.run(_points, page.workspace)
    metrics = _metrics(page, points)
    return page.html(
        "wheel/learning.html", points=points, by=by, metrics=metrics, rules=_rules(page)
    )


@router.get("/wheel/learning/picture.svg")
async def draw_learning(
    page: CuratorPage,
    metric: Annotated[str, Query(max_length=100)],
    by: Literal["acts", "time"] = "acts",
) -> Response:
    """One metric of it, drawn."""
    points = await page.run(_points, page.workspace)
    if metric not in _metrics(page, points):
        raise PageError(404, "wheel.no_metric")
    t = page.t
    shows = (
        metric,
        by,
        tuple(
            (each.number, each.at, each.has_served, each.num_acts, each.scores.get(metric))
            for each in points
        ),
    )
    return await picture_response(
        page, lambda palette: curve(points, metric, by, t, palette), shows
    )


def verdict(each: Comparison) -> Verdict:
    """What the interval says: none where it holds no difference at all."""
    if each.low_seen > 0:
        return "better"
    return "worse" if each.high_seen < 0 else "alike"


def _rules(page: Page) -> Any:
    return page.workspace.settings.gate


def _metrics(page: Page, points: list[Point]) -> list[str]:
    """The metrics that decide, as far as any version was measured by them."""
    rules = page.workspace.settings.gate
    wanted = dict.fromkeys((rules.primary, *rules.guards, "selective_accuracy"))
    return [name for name in wanted if any(name in each.scores for each in points)]


def _points(workspace: Workspace) -> list[Point]:
    return learning_curve.learning_curve(workspace)[-MAX_POINTS:]


def _apart(compared: Compared) -> dict[str, dict[str, Comparison]]:
    """The gains of each language, by metric."""
    return {
        part: {each.metric: each for each in found}
        for part, found in compared.gains.items()
        if part != EVERYTHING
    }


def _pair(workspace: Workspace, a: int, b: int) -> Pair | None:
    """The versions that are asked for; None where there are not two yet."""
    with workspace.database.read() as conn:
        every = version_store.list_versions(conn)
        champion = version_store.champion(conn)
    by_number = {each.number: each for each in every}
    if len(every) < 2:
        return None
    if missing := [number for number in (a, b) if number and number not in by_number]:
        raise PageError(404, "wheel.no_version", number=missing[0])
    standing = champion.number if champion else every[0].number
    if not b:
        newest = every[-1].number
        b = newest if newest not in (a, standing) or a else standing
        b = b if b != a else standing
    if not a:
        parent = by_number[b].parent
        a = standing if standing != b else parent or next(n for n in by_number if n != b)
    return Pair(
        numbers=tuple(sorted(by_number, reverse=True)),
        champion=champion.number if champion else None,
        a=by_number[a],
        b=by_number[b],
    )


def _require(workspace: Workspace, a: int, b: int) -> Pair:
    pair = _pair(workspace, a, b)
    if pair is None:
        raise PageError(404, "wheel.no_version", number=a)
    return pair


def _compared(workspace: Workspace, pair: Pair) -> Compared | None:
    """The comparison, made once of the same two sittings."""
    with workspace.database.read() as conn:
        cards = [exam_rows.card(conn, each.number) or {} for each in (pair.a, pair.b)]
        stamp = (erasures.count(conn), *(each.get("at") for each in cards))
    key = (workspace.root, pair.a.number, pair.b.number, *stamp)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    found = comparison.compare_kept(workspace, pair.a.number, pair.b.number)
    with _lock:
        _kept[key] = found
        while len(_kept) > _MAX_KEPT:
            _kept.popitem(last=False)
    return found
