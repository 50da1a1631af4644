"""The exam's pictures: metrics with intervals, the reliability diagram, feedback week by week.

What each shows stands in its page as a table, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flywheel.evaluate.metrics import LOWER_IS_BETTER
from flywheel.records import Score
from flywheel.serve.console.exam_words import SECTIONS
from flywheel.serve.console.pictures import Draw, Palette
from flywheel.serve.console.words import Words
from flywheel.wheel.exam_overview import Overview
from flywheel.wheel.fresh_feedback import Point

if TYPE_CHECKING:
    import altair

PICTURED = tuple(
    name for section in ("evidence", "answers", "decisions") for name in SECTIONS[section]
)
"""Metrics between 0 and 1 that are read along one axis; the others have other scales."""


def metrics(t: Words, seen: Overview) -> Draw:
    """A version's metrics beside those of the one before, each with its interval."""
    now = t("exam.version", number=seen.version.number)
    rows = list(_dots(t, seen.metrics, now))
    if seen.before:
        before = t("exam.version", number=seen.before.number)
        rows += _dots(t, seen.metrics_before, before)
    order = [t.of("exam.metric", name) for name in PICTURED if name in seen.metrics]
    return lambda palette: _metrics(palette, rows, order)


def reliability(t: Words, seen: Overview) -> Draw:
    """How often answers of each confidence were right, with the diagonal of honest confidence."""
    bins = [each for each in (seen.card.bins if seen.card else ()) if each.hits]
    rows = [
        {
            "confidence": each.confidence,
            "hits": each.hits.value,
            "low": each.hits.low,
            "high": each.hits.high,
            "count": t("exam.num_items", num=each.count),
        }
        for each in bins
        if each.hits
    ]
    titles = t("exam.calibration.confidence"), t("exam.calibration.right")
    return lambda palette: _reliability(palette, rows, *titles)


def feedback(t: Words, points: Sequence[Point]) -> Draw:
    """The share of liked answers along time, with intervals."""
    rows = [
        {"at": each.name, "value": held.value, "low": held.low, "high": held.high}
        for each in points
        if (held := each.share_liked)
    ]
    return lambda palette: _feedback(palette, rows, t("exam.feedback.liked"))


def _dots(t: Words, scores: Mapping[str, Score], version: str) -> Iterator[dict[str, Any]]:
    for name in PICTURED:
        if name in scores:
            score = scores[name]
            yield {
                "metric": t.of("exam.metric", name) + (" ↓" if name in LOWER_IS_BETTER else ""),
                "version": version,
                "value": score.value,
                "low": score.low,
                "high": score.high,
            }


def _metrics(
    palette: Palette, rows: Sequence[dict[str, Any]], order: Sequence[str]
) -> altair.TopLevelMixin:
    import altair

    names = list(dict.fromkeys(row["version"] for row in rows))
    arrows = [*order, *(f"{each} ↓" for each in order)]
    chart = altair.Chart(altair.InlineData(values=list(rows))).encode(
        y=altair.Y("metric:N", sort=arrows, title=None, axis=altair.Axis(labelLimit=240)),
        yOffset=altair.YOffset("version:N", sort=names),
        color=altair.Color(
            "version:N",
            sort=names,
            title=None,
            scale=altair.Scale(domain=names, range=[palette.accent, palette.muted][: len(names)]),
            legend=altair.Legend(orient="top"),
        ),
    )
    scale = altair.Scale(domain=[0, 1])
    axis = altair.Axis(format=".0%", tickCount=5)
    ruled = chart.mark_rule(strokeWidth=2).encode(
        x=altair.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q"
    )
    dotted = chart.mark_point(filled=True, size=60, opacity=1).encode(
        x=altair.X("value:Q", scale=scale, title=None)
    )
    layers: altair.LayerChart = ruled + dotted
    return layers.properties(width=420, height=altair.Step(14))


def _reliability(
    palette: Palette, rows: Sequence[dict[str, Any]], confidence: str, right: str
) -> altair.TopLevelMixin:
    import altair

    scale = altair.Scale(domain=[0, 1])
    axis = altair.Axis(format=".0%", tickCount=5)
    x = altair.X("confidence:Q", scale=scale, axis=axis, title=confidence)
    ends = [{"confidence": 0, "hits": 0}, {"confidence": 1, "hits": 1}]
    y = altair.Y("hits:Q", scale=scale, axis=axis, title=right)
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
    told = chart.mark_text(color=palette.muted, dx=8, dy=12, align="left").encode(
        x=x, y=y, text="count:N"
    )
    layers: altair.LayerChart = honest + ruled + joined + told
    return layers.properties(width=300, height=300)


def _feedback(palette: Palette, rows: Sequence[dict[str, Any]], liked: str) -> altair.TopLevelMixin:
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
    return layers.properties(width=560, height=220)
