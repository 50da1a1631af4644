"""The page /documents/report: what the documents are like, as pictures and as numbers.

Counted in wheel/documents/report.py whenever documents have changed. Each picture is an image of
its own, narrow enough for a phone, and stands beside a table of the same numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response

from flywheel.serve.console.documents.words import size_of
from flywheel.serve.console.page import OwnerPage, PageError
from flywheel.serve.console.pictures import Palette, picture_response
from flywheel.store.document_list import CHARACTERS_PER_BIN, WORDS_PER_BIN, Bin
from flywheel.wheel.documents import report as document_report
from flywheel.wheel.documents.report import Overview

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import altair

    from flywheel.serve.console.words import Words
    from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)

WIDTH = 420
_ROW, _BAR = 38, 12
_HISTOGRAM_HEIGHT = 220
MAX_BARS = 12
"""What is less frequent stands in the table alone."""
MAX_SOURCES = 8

_COLOURS = {
    "kept": "good",
    "superseded": "accent",
    "duplicate": "muted",
    "dropped": "warn",
    "failed": "bad",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One value of a picture, as it is called."""

    label: str
    value: int
    colour: str = "accent"
    """A colour of the palette."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One picture with its numbers."""

    name: str
    bars: tuple[Bar, ...]
    width_of_bin: int = 0
    """Of a histogram; 0 where the bars stand for themselves."""

    @property
    def height(self) -> int:
        """Pixels of the picture."""
        return _HISTOGRAM_HEIGHT if self.width_of_bin else _ROW * len(self.shown) + 8

    @property
    def shown(self) -> tuple[Bar, ...]:
        """The bars that the picture has."""
        return self.bars if self.width_of_bin else self.bars[:MAX_BARS]


@router.get("/documents/report")
async def show(page: OwnerPage) -> Response:
    """The page."""
    overview = await page.run(document_report.overview, page.workspace, page.caller.access)
    charts = await page.run(_charts, page.workspace, page.caller.access, page.t)
    return page.html(
        "documents/report.html",
        overview=overview,
        charts=charts,
        size=size_of(page.t, overview.size),
        width=WIDTH,
        told=lambda chart: _told(page.t, chart),
    )


@router.get("/documents/report/{name}.svg")
async def show_picture(page: OwnerPage, name: str) -> Response:
    """One of its pictures."""
    charts = await page.run(_charts, page.workspace, page.caller.access, page.t)
    chart = next((each for each in charts if each.name == name), None)
    if chart is None:
        raise PageError(404, "documents.not_there")
    return await picture_response(page, _drawing(chart, page.t))


def _charts(workspace: Workspace, labels: Sequence[str] | None, t: Words) -> tuple[Chart, ...]:
    """All pictures that there is something to show in."""
    overview = document_report.overview(workspace, labels)
    lengths = document_report.lengths(workspace, labels)
    charts = (
        Chart(name="fates", bars=_named(t, "documents.fate", overview.fates, _COLOURS)),
        Chart(name="reasons", bars=_named(t, "documents.reason", overview.reasons, {}, "warn")),
        Chart(name="languages", bars=_named(t, "documents.language", overview.languages, {})),
        Chart(name="findings", bars=_found(t, overview)),
        _histogram("lengths_zh", lengths, chinese=True),
        _histogram("lengths_en", lengths, chinese=False),
        Chart(name="copies", bars=_copies(t, overview)),
    )
    return tuple(each for each in charts if each.bars)


def _named(
    t: Words,
    key: str,
    counts: Mapping[Any, int],
    colours: Mapping[str, str],
    colour: str = "accent",
) -> tuple[Bar, ...]:
    return tuple(
        # A reason's advice stands in the list; its name is enough here.
        Bar(
            label=re.split("[:：]", t.of(key, name))[0],
            value=count,
            colour=colours.get(name, colour),
        )
        for name, count in counts.items()
        if count
    )


def _found(t: Words, overview: Overview) -> tuple[Bar, ...]:
    return tuple(
        Bar(label=t.of("documents.finding", each.kind), value=each.count, colour="warn")
        for each in overview.findings
    )


def _copies(t: Words, overview: Overview) -> tuple[Bar, ...]:
    """The sources that hold the most copies and older editions."""
    bars = [
        Bar(
            label=t("documents.uploads", labels=", ".join(each.access))
            if each.is_uploaded
            else each.name,
            value=each.fates["duplicate"] + each.fates["superseded"],
            colour="muted",
        )
        for each in overview.sources
    ]
    most = sorted(bars, key=lambda each: -each.value)[:MAX_SOURCES]
    return tuple(each for each in most if each.value)


def _histogram(name: str, bins: Sequence[Bin], *, chinese: bool) -> Chart:
    width = CHARACTERS_PER_BIN if chinese else WORDS_PER_BIN
    own = {each.number: each.count for each in bins if each.chinese == chinese}
    return Chart(
        name=name,
        bars=tuple(
            Bar(label=f"{number * width + 1}–{(number + 1) * width}", value=own.get(number, 0))
            for number in range(max(own, default=-1) + 1)
        ),
        width_of_bin=width,
    )


def _told(t: Words, chart: Chart) -> str:
    """The picture in words: what it shows, and its greatest values."""
    greatest = sorted(chart.bars, key=lambda each: -each.value)[:3]
    most = t("documents.report.and").join(f"{each.label} {each.value:,}" for each in greatest)
    return t("documents.report.told", title=t.of("documents.picture", chart.name), most=most)


def _drawing(chart: Chart, t: Words) -> Callable[[Palette], altair.TopLevelMixin]:
    def draw(palette: Palette) -> altair.TopLevelMixin:
        if chart.width_of_bin:
            return _bins(chart, t, palette)
        return _bars(chart, palette)

    return draw


def _bars(chart: Chart, palette: Palette) -> altair.TopLevelMixin:
    """Lying bars, each under its name, so that long names have room on a phone."""
    import altair

    rows = [
        {
            "place": place,
            "label": each.label,
            "value": each.value,
            "shown": f"{each.value:,}",
            "colour": getattr(palette, each.colour),
        }
        for place, each in enumerate(chart.shown)
    ]
    base = altair.Chart(altair.InlineData(values=rows)).encode(
        y=altair.Y("place:O", axis=None, scale=altair.Scale(paddingInner=0, paddingOuter=0))
    )
    bars = base.mark_bar(height=_BAR, yOffset=9, cornerRadiusEnd=3).encode(
        x=altair.X("value:Q", axis=None, scale=altair.Scale(nice=False, zero=True)),
        color=altair.Color("colour:N", scale=None),
    )
    names = base.mark_text(
        align="left", baseline="middle", dy=-7, fontSize=13, limit=WIDTH - 80, color=palette.text
    ).encode(x=altair.value(0), text="label:N")
    values = base.mark_text(
        align="right", baseline="middle", dy=-7, fontSize=13, color=palette.muted
    ).encode(x=altair.value(WIDTH - 10), text="shown:N")
    drawn: altair.LayerChart = (bars + names + values).properties(
        width=WIDTH - 10,
        height=_ROW * len(rows),
        padding={"left": 0, "right": 10, "top": 4, "bottom": 4},
    )
    return drawn


def _bins(chart: Chart, t: Words, palette: Palette) -> altair.TopLevelMixin:
    import altair

    width = chart.width_of_bin
    rows = [
        {"start": place * width, "end": (place + 1) * width, "value": each.value}
        for place, each in enumerate(chart.bars)
    ]
    x = altair.X(
        "start:Q",
        title=t.of("documents.unit", chart.name),
        axis=altair.Axis(grid=False, tickCount=6),
    )
    y = altair.Y("value:Q", title=t("documents.report.passages"), axis=altair.Axis(tickCount=4))
    drawn: altair.Chart = (
        altair.Chart(altair.InlineData(values=rows))
        .mark_bar(color=palette.accent, stroke=palette.surface, strokeWidth=1)
        .encode(x=x, x2="end:Q", y=y, y2=altair.datum(0))
        .properties(
            width=WIDTH,
            height=_HISTOGRAM_HEIGHT,
            autosize=altair.AutoSizeParams(type="fit", contains="padding"),
        )
    )
    return drawn
