"""Templates and static files: found beside this module, read once, never from elsewhere."""

from __future__ import annotations

import hashlib
import math
import mimetypes
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from flywheel.serve.console.markup import excerpt, markdown
from flywheel.serve.errors import ApiError

FOLDER = Path(__file__).parent

router = APIRouter(include_in_schema=False)

_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


def _read_static() -> dict[str, bytes]:
    """Our own files, and those of others that lie apart."""
    found = [*(FOLDER / "static").iterdir(), *(FOLDER / "vendored").glob("*.js")]
    return {each.name: each.read_bytes() for each in sorted(found) if each.is_file()}


_FILES = _read_static()
STATIC = "/static/" + hashlib.sha256(b"\0".join(_FILES.values())).hexdigest()[:12]
"""Where the static files are: another place whenever one of them changes, so that browsers keep
them for ever."""


@router.get("/static/{stamp}/{name}")
async def static(stamp: str, name: str) -> Response:
    """A style sheet, a script or icons, for anybody: they say nothing of the workspace."""
    content = _FILES.get(name)
    if content is None:
        raise ApiError(404, "There is no such file.")
    suffix = Path(name).suffix
    kind = _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    lasting = _FOR_EVER if stamp == STATIC.rpartition("/")[2] else "no-cache"
    return Response(content, media_type=kind, headers={"Cache-Control": lasting})


def render(template: str, values: dict[str, Any], *, whole: bool) -> str:
    """A template with its values; or only its block `content`.

    The macros of parts.html are at hand as `parts`, in the words and place of the page.
    """
    environment = _environment()
    parts = environment.get_template("parts.html").make_module(values)
    values = values | {"parts": parts}
    found = environment.get_template(template)
    if whole or "content" not in found.blocks:
        return found.render(values)
    return "".join(found.blocks["content"](found.new_context(values)))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "excerpt": excerpt,
        "markdown": markdown,
        "number": number,
        "percent": percent,
        "moment": moment,
    }
    return environment


def number(value: float, digits: int = 0) -> str:
    """A number as people read it: 12,345. A minus is longer than a hyphen, and than nothing."""
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float, digits: int = 0) -> str:
    """A share: 0.857 is 86%. None that cannot be told is a dash."""
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f}%"


def moment(at: str) -> datetime:
    """A time as the store keeps it."""
    parsed = datetime.fromisoformat(at)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
