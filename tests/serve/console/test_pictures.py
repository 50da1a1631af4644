"""Pictures are drawn by the server, in the page's colours, and only once."""

from __future__ import annotations

from typing import Any

from flywheel.serve.console.pictures import DARK, LIGHT, Palette, svg


def bars(palette: Palette) -> Any:
    import altair

    rows = [{"what": "中文", "num": 3}, {"what": "<script>", "num": 2}]
    data = altair.InlineData(values=rows)
    marks = altair.Chart(data).mark_bar(color=palette.accent)
    return marks.encode(x="what:N", y="num:Q")


def test_a_picture_has_the_themes_colours_and_escapes_what_it_names() -> None:
    light, dark = svg(bars(LIGHT), LIGHT).decode(), svg(bars(DARK), DARK).decode()
    assert light.startswith("<svg") and "中文" in light
    assert "<script" not in light and "&lt;script&gt;" in light
    assert LIGHT.accent in light and DARK.accent in dark and LIGHT.accent not in dark
    assert svg(bars(LIGHT), LIGHT).decode() == light
