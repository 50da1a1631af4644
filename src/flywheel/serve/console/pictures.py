"""Pictures that the server draws: charts as SVG, in the page's colours and words.

A page asks for each as an image of its own, so that none waits for one; a browser keeps it as
long as nothing changed. Charts are Altair's, drawn by vl-convert without a browser or a network.
What a picture shows stands in its page as text, too.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    import altair

    from flywheel.serve.console.page import Page

_FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
_MAX_KEPT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """The colours of a theme, as the style sheet has them."""

    text: str
    muted: str
    line: str
    surface: str
    accent: str
    good: str
    warn: str
    bad: str


LIGHT = Palette(
    text="#1c2230", muted="#565e70", line="#d7dbe5", surface="#ffffff",
    accent="#1f56c4", good="#17693c", warn="#a86200", bad="#ad1f2d",
)  # fmt: skip
DARK = Palette(
    text="#e6e9f0", muted="#a3abbd", line="#343c4d", surface="#1a1f29",
    accent="#8fb4ff", good="#74d69b", warn="#f0bf6b", bad="#ff9a9f",
)  # fmt: skip

Draw = Callable[[Palette], "altair.TopLevelMixin"]
"""Makes a chart in these colours."""

_kept: OrderedDict[str, bytes] = OrderedDict()
_named: OrderedDict[Hashable, str] = OrderedDict()
"""By what is shown: making a chart of Altair takes four times as long as all else for its page."""
_lock = threading.Lock()


async def picture_response(page: Page, draw: Draw, shows: Hashable = None) -> Response:
    """A picture in the theme that the address asks for (`?theme=dark`), unless the browser has it.

    Args:
        draw: makes the chart. Runs on a thread; import Altair in it, which takes its time.
        shows: all that decides what it looks like, but for the colours and the language: where
            that was drawn before, it is not made again. None makes it each time.
    """
    palette = DARK if page.request.query_params.get("theme") == "dark" else LIGHT
    known = None if shows is None else (shows, palette, page.language)
    name, content = await page.run(_drawn, draw, palette, known)
    headers = {"ETag": f'"{name}"', "Cache-Control": "private, no-cache", "Vary": "Cookie"}
    if page.request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/svg+xml", headers=headers)


def svg(chart: altair.TopLevelMixin, palette: Palette) -> bytes:
    """A chart as SVG."""
    return _rendered(_specification(chart, palette))[1]


def _drawn(draw: Draw, palette: Palette, shows: Hashable = None) -> tuple[str, bytes]:
    with _lock:
        name = _named.get(shows, "")
        if name in _kept:
            return name, _kept[name]
    name, content = _rendered(_specification(draw(palette), palette))
    if shows is not None:
        with _lock:
            _named[shows] = name
            while len(_named) > _MAX_KEPT:
                _named.popitem(last=False)
    return name, content


def _specification(chart: altair.TopLevelMixin, palette: Palette) -> str:
    specification: dict[str, Any] = chart.to_dict()
    ours = _config(palette)
    # Altair gives each chart a frame of its own, bright in the dark.
    own = {name: each for name, each in specification.get("config", {}).items() if name != "view"}
    return json.dumps(specification | {"config": ours | own}, sort_keys=True)


def _rendered(specification: str) -> tuple[str, bytes]:
    """The picture and the name that it is known by; drawn once, whoever asks."""
    import vl_convert

    name = hashlib.sha256(specification.encode()).hexdigest()[:24]
    with _lock:
        if name not in _kept:
            drawn: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
            _kept[name] = drawn.encode()
        _kept.move_to_end(name)
        while len(_kept) > _MAX_KEPT:
            _kept.popitem(last=False)
        return name, _kept[name]


def _config(palette: Palette) -> dict[str, Any]:
    words: dict[str, Any] = {
        "labelColor": palette.muted,
        "titleColor": palette.muted,
        "labelFont": _FONT,
    }
    words |= {"titleFont": _FONT, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": palette.surface,
        "font": _FONT,
        "view": {"stroke": "transparent"},
        "axis": words
        | {"gridColor": palette.line, "domainColor": palette.line, "tickColor": palette.line}
        | {"titleFontWeight": "normal"},
        "legend": words,
        "title": {"color": palette.text, "font": _FONT, "fontSize": 13, "anchor": "start"},
        "header": words,
        "text": {"color": palette.text, "font": _FONT},
        "mark": {"color": palette.accent},
        "range": {"category": [palette.accent, palette.warn, palette.good, palette.bad]},
    }
