"""What the wheel draws: gains with their intervals, and scores over what was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from flywheel.evaluate.compare import Comparison
from flywheel.serve.console.pictures import Palette
from flywheel.serve.console.words import Words
from flywheel.wheel.learning_curve import Point

if TYPE_CHECKING:
    import altair


def gains(compared: Sequence[Comparison], t: Words, palette: Palette) -> altair.TopLevelMixin:
    """Of each metric the gain between its bounds; right of the line is for the better."""
    import altair as alt

    rows = [
        {
            "metric": t.of("exam.metric", each.metric),
            "gain": each.gain,
            "low": min(each.low_seen, each.gain),
            "high": max(each.high_seen, each.gain),
            "verdict": _verdict(each),
        }
        for each in compared
    ]
    order = [t.of("exam.metric", each.metric) for each in compared]
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(
            domain=["better", "alike", "worse"], range=[palette.good, palette.muted, palette.bad]
        ),
        legend=None,
    )
    metric = alt.Y("metric:N", sort=order, title=None, axis=alt.Axis(labelLimit=230, grid=False))
    base = alt.Chart(alt.InlineData(values=rows))
    nothing = (
        alt.Chart(alt.InlineData(values=[{"at": 0}]))
        .mark_rule(color=palette.muted, strokeDash=[4, 3])
        .encode(x="at:Q")
    )
    interval = base.mark_rule(strokeWidth=3, opacity=0.45, strokeCap="round").encode(
        x=alt.X("low:Q", title=t("wheel.gain_axis"), axis=alt.Axis(tickCount=5, labelFlush=False)),
        x2="high:Q",
        y=metric,
        color=colour,
    )
    point = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="gain:Q", y=metric, color=colour
    )
    # A browser's letters may be wider than those that the labels were measured with.
    room = {"left": 24, "right": 8, "top": 4, "bottom": 4}
    chart = alt.layer(nothing, interval, point).properties(
        width=230, height=24 * len(rows), padding=room
    )
    drawn: altair.TopLevelMixin = chart
    return drawn


def curve(
    points: Sequence[Point],
    metric: str,
    by: Literal["acts", "time"],
    t: Words,
    palette: Palette,
) -> altair.TopLevelMixin:
    """A metric over the versions, by what they learned from or by when they were made."""
    import altair as alt

    rows = [
        {
            "acts": each.num_acts,
            "time": each.at,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "version": each.number,
            "served": each.has_served,
        }
        for each in points
        if (score := each.scores.get(metric))
    ]
    x = (
        alt.X("acts:Q", title=t("wheel.acts_axis"), axis=alt.Axis(tickMinStep=1, tickCount=5))
        if by == "acts"
        else alt.X("time:T", title=t("wheel.time_axis"), axis=alt.Axis(tickCount=4))
    )
    # Kept versions are no steps on the way: only what has served is joined.
    base = alt.Chart(alt.InlineData(values=rows))
    interval = base.mark_rule(
        strokeWidth=3, opacity=0.3, strokeCap="round", color=palette.accent
    ).encode(x=x, y=alt.Y("low:Q", title=None, axis=alt.Axis(tickCount=5)), y2="high:Q")
    line = (
        base.transform_filter("datum.served")
        .mark_line(strokeWidth=2, color=palette.accent)
        .encode(x=x, y="value:Q", order="version:Q")
    )
    point = base.mark_point(size=60, strokeWidth=2, opacity=1, color=palette.accent).encode(
        x=x,
        y="value:Q",
        fill=alt.condition("datum.served", alt.value(palette.accent), alt.value(palette.surface)),
    )
    chart = alt.layer(interval, line, point).properties(width=290, height=170)
    drawn: altair.TopLevelMixin = chart
    return drawn


def _verdict(each: Comparison) -> str:
    if each.low_seen > 0:
        return "better"
    return "worse" if each.high_seen < 0 else "alike"
