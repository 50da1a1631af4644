"""The learning curve as a picture: a metric a panel, with its 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 250, 150, 44
INK, LINE = "#57606a", "#0969da"

Point = tuple[int, Mapping[str, Mapping[str, Any]]]
"""How many corrections were learned, and each metric's `value`, `low` and `high`."""


def draw(points: Sequence[Point]) -> str:
    """The picture as SVG, one panel a metric, two in a row."""
    metrics = list(points[0][1])
    num_rows = (len(metrics) + 1) // 2
    width = 2 * (PANEL_WIDTH + MARGIN) + MARGIN
    height = num_rows * (PANEL_HEIGHT + MARGIN) + MARGIN
    panels = [
        f'<g transform="translate({MARGIN + place % 2 * (PANEL_WIDTH + MARGIN)} '
        f'{MARGIN + place // 2 * (PANEL_HEIGHT + MARGIN)})">{"".join(_panel(points, name))}</g>'
        for place, name in enumerate(metrics)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(panels)}</svg>\n'
    )


def _panel(points: Sequence[Point], metric: str) -> Iterator[str]:
    scores = [(number, each[metric]) for number, each in points]
    most = max(number for number, _ in scores)
    low = min(score["low"] for _, score in scores) - 0.01
    high = max(score["high"] for _, score in scores) + 0.01

    def at(number: float, value: float) -> str:
        x = PANEL_WIDTH * number / most
        return f"{x:.1f},{PANEL_HEIGHT * (high - value) / (high - low):.1f}"

    upper = [at(number, score["high"]) for number, score in scores]
    lower = [at(number, score["low"]) for number, score in reversed(scores)]
    middle = [at(number, score["value"]) for number, score in scores]
    yield f'<text x="0" y="-10" fill="{INK}" font-size="13">{metric}</text>'
    yield f'<polygon points="{" ".join(upper + lower)}" fill="{LINE}" fill-opacity="0.15"/>'
    yield f'<polyline points="{" ".join(middle)}" fill="none" stroke="{LINE}" stroke-width="2"/>'
    for (number, score), place in zip(scores, middle, strict=True):
        x, y = place.split(",")
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{LINE}"/>'
        anchor = "start" if not number else "end" if number == most else "middle"
        if anchor != "middle":  # between the ends the line tells enough
            value = f"{score['value']:.3f}"
            beside = float(y) + (16 if anchor == "start" else -7)  # below the line, or above it
            yield f'<text x="{x}" y="{beside:.1f}" text-anchor="{anchor}">{value}</text>'
        yield (
            f'<text x="{x}" y="{PANEL_HEIGHT + 14}" text-anchor="{anchor}" '
            f'fill="{INK}">{number}</text>'
        )
