"""Pictures are drawn by the server, in the page's colours, and only once."""

from __future__ import annotations

from typing import Any

from flywheel.serve.console.pictures import DARK, LIGHT, Palette, _drawn, svg


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


def test_what_was_drawn_is_not_made_again_for_what_shows_the_same() -> None:
    made = []

    def draw(palette: Palette) -> Any:
        made.append(palette)
        return bars(palette)

    shown = [_drawn(draw, LIGHT, ("bars", 3)) for _ in range(3)]
    assert len(made) == 1 and len(set(shown)) == 1
    _drawn(draw, LIGHT, ("bars", 4))
    _drawn(draw, LIGHT)
    assert len(made) == 3
