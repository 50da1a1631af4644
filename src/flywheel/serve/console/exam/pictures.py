"""The exam's pictures: metrics with intervals, the reliability diagram, feedback week by week.

What each shows stands in its page as a table, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flywheel.evaluate.metrics import LOWER_IS_BETTER
from flywheel.records import Score
from flywheel.serve.console.exam.words import SECTIONS
from flywheel.serve.console.pictures import Draw, Palette
from flywheel.serve.console.words import Words
from flywheel.wheel.exam.fresh_feedback import Point
from flywheel.wheel.exam.overview import Overview

if TYPE_CHECKING:
    import altair

PICTURED = tuple(
    name for section in ("evidence", "answers", "decisions") for name in SECTIONS[section]
)
"""Metrics between 0 and 1 that are read along one axis; the others have other scales."""


WIDE, NARROW = 300, 270
"""Of what is drawn, in pixels of a desk's column and of a phone."""
_ROW = 44
"""Of a metric's name and its lines below each other."""


def metrics(t: Words, seen: Overview, *, narrow: bool = False) -> Draw:
    """A version's metrics beside those of the one before, each with its interval."""
    rows = list(_dots(t, seen.metrics, t("exam.version", number=seen.version.number)))
    if seen.before:
        rows += _dots(t, seen.metrics_before, t("exam.version", number=seen.before.number))
    return lambda palette: _metrics(palette, rows, narrow)


def reliability(t: Words, seen: Overview, *, narrow: bool = False) -> Draw:
    """How often answers of each confidence were right, with the diagonal of honest confidence."""
    rows = [
        {
            "confidence": each.confidence,
            "hits": each.hits.value,
            "low": each.hits.low,
            "high": each.hits.high,
            "count": f"{each.count:,}",
        }
        for each in (seen.card.bins if seen.card else ())
        if each.hits
    ]
    titles = t("exam.calibration.confidence"), t("exam.calibration.right")
    size = 220 if narrow else WIDE
    return lambda palette: _reliability(palette, rows, *titles, size)


def feedback(t: Words, points: Sequence[Point], *, narrow: bool = False) -> Draw:
    """The share of liked answers along time, with intervals."""
    rows = [
        {"at": each.name, "value": held.value, "low": held.low, "high": held.high}
        for each in points
        if (held := each.share_liked)
    ]
    return lambda palette: _feedback(palette, rows, t("exam.feedback.liked"), narrow)


def _dots(t: Words, scores: Mapping[str, Score], version: str) -> Iterator[dict[str, Any]]:
    for place, name in enumerate(PICTURED):
        if name in scores:
            score = scores[name]
            yield {
                "metric": t.of("exam.metric", name) + (" ↓" if name in LOWER_IS_BETTER else ""),
                "place": place,
                "version": version,
                "value": score.value,
                "low": score.low,
                "high": score.high,
            }


def _metrics(
    palette: Palette, rows: Sequence[dict[str, Any]], narrow: bool
) -> altair.TopLevelMixin:
    import altair

    names = list(dict.fromkeys(row["version"] for row in rows))
    order = list(dict.fromkeys(row["metric"] for row in sorted(rows, key=lambda row: row["place"])))
    height = (_ROW if narrow else 30) * len(order)
    if narrow:
        # A phone has no room for names beside the lines: they stand above them.
        tops = {metric: _ROW * place for place, metric in enumerate(order)}
        for row in rows:
            row["name"] = tops[row["metric"]] + 10
            row["line"] = tops[row["metric"]] + 24 + 9 * names.index(row["version"])
        scale = altair.Scale(domain=[0, height], reverse=True, nice=False)
        place: dict[str, Any] = {"y": altair.Y("line:Q", scale=scale, axis=None)}
    else:
        axis = altair.Axis(labelLimit=300)
        place = {
            "y": altair.Y("metric:N", sort=order, title=None, axis=axis),
            "yOffset": altair.YOffset("version:N", sort=names),
        }
    across = altair.Scale(domain=[0, 1])
    percent = altair.Axis(format=".0%", tickCount=5)
    colours = altair.Scale(domain=names, range=[palette.accent, palette.muted][: len(names)])
    data = altair.InlineData(values=list(rows))
    chart = altair.Chart(data).encode(
        color=altair.Color(
            "version:N", sort=names, title=None, scale=colours, legend=altair.Legend(orient="top")
        ),
        **place,
    )
    ruled = chart.mark_rule(strokeWidth=2).encode(
        x=altair.X("low:Q", scale=across, axis=percent, title=None), x2="high:Q"
    )
    dotted = chart.mark_point(filled=True, size=60, opacity=1).encode(
        x=altair.X("value:Q", scale=across, title=None)
    )
    layers: altair.LayerChart = ruled + dotted
    if narrow:
        told = altair.Chart(data).mark_text(align="left", color=palette.text, fontSize=12)
        named = altair.Y("name:Q", scale=altair.Scale(domain=[0, height], reverse=True), axis=None)
        layers = layers + told.encode(y=named, x=altair.value(0), text="metric:N")
    # The browser's letters may be wider than those that the room was measured with.
    edge = {"left": 5 if narrow else 40, "right": 12, "top": 5, "bottom": 5}
    return layers.properties(width=NARROW if narrow else WIDE, height=height, padding=edge)


def _reliability(
    palette: Palette, rows: Sequence[dict[str, Any]], confidence: str, right: str, size: int
) -> altair.TopLevelMixin:
    import altair

    scale = altair.Scale(domain=[0, 1])
    axis = altair.Axis(format=".0%", tickCount=5)
    x = altair.X("confidence:Q", scale=scale, axis=axis, title=confidence)
    y = altair.Y("hits:Q", scale=scale, axis=axis, title=right)
    ends = [{"confidence": 0, "hits": 0}, {"confidence": 1, "hits": 1}]
    honest = (
        altair.Chart(altair.InlineData(values=ends))
        .mark_line(strokeDash=[4, 4], color=palette.muted, strokeWidth=1)
        .encode(x=x, y=y)
    )
    chart = altair.Chart(altair.InlineData(values=list(rows)))
    ruled = chart.mark_rule(color=palette.accent, strokeWidth=2).encode(
        x=x, y=altair.Y("low:Q", scale=scale, title=right), y2="high:Q"
    )
    joined = chart.mark_line(color=palette.accent, point={"filled": True, "size": 70}).encode(
        x=x, y=y
    )
    told = chart.mark_text(color=palette.text, dx=8, dy=10, align="left", fontSize=12).encode(
        x=x, y=y, text="count:N"
    )
    layers: altair.LayerChart = honest + ruled + joined + told
    return layers.properties(width=size, height=size)


def _feedback(
    palette: Palette, rows: Sequence[dict[str, Any]], liked: str, narrow: bool
) -> altair.TopLevelMixin:
    import altair

    scale = altair.Scale(domain=[0, 1])
    axis = altair.Axis(format=".0%", tickCount=5)
    chart = altair.Chart(altair.InlineData(values=list(rows)))
    x = altair.X("at:N", title=None, axis=altair.Axis(labelAngle=-45, labelOverlap=True))
    ruled = chart.mark_rule(color=palette.muted, strokeWidth=2).encode(
        x=x, y=altair.Y("low:Q", scale=scale, axis=axis, title=liked), y2="high:Q"
    )
    joined = chart.mark_line(color=palette.accent, point={"filled": True, "size": 50}).encode(
        x=x, y=altair.Y("value:Q", scale=scale, title=liked)
    )
    layers: altair.LayerChart = ruled + joined
    return layers.properties(width=230 if narrow else 700, height=220)
