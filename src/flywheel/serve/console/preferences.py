"""How somebody likes to see the console: language, theme, keys. A cookie of the browser's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from fastapi import APIRouter, Form, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from flywheel.serve.auth import is_encrypted
from flywheel.serve.console.words import PageLanguage
from flywheel.serve.languages import prefers_chinese
from flywheel.serve.shapes import Body

router = APIRouter(include_in_schema=False)

Theme = Literal["auto", "light", "dark"]
Keys = Literal["on", "off"]

COOKIE = "flywheel_preferences"
_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What a browser was told; and what it asks for by itself where it was not."""

    language: PageLanguage
    theme: Theme = "auto"
    keys: Keys = "on"
    """Whether single keys act. (WCAG 2.1.4: who speaks to his computer must be able to stop it.)"""

    @classmethod
    def of(cls, request: Request) -> Self:
        """Those of a request's browser."""
        language, theme, keys, *_ = [*request.cookies.get(COOKIE, "").split("."), "", "", ""]
        return cls(
            language=_known(PageLanguage, language, "zh" if prefers_chinese(request) else "en"),
            theme=_known(Theme, theme, "auto"),
            keys=_known(Keys, keys, "on"),
        )


class PreferencesForm(Body):
    """What the menu sends."""

    language: PageLanguage
    theme: Theme = "auto"
    keys: Keys = "off"
    next: str = Field(default="/", max_length=2000)
    csrf: str = Field(default="", max_length=200)


@router.post("/preferences")
async def prefer(request: Request, form: Annotated[PreferencesForm, Form()]) -> Response:
    """Keeps them, and shows the page again. They are the browser's, whoever uses it."""
    reply = RedirectResponse(own_place(form.next), status_code=303)
    reply.set_cookie(
        COOKIE,
        f"{form.language}.{form.theme}.{form.keys}",
        max_age=_SECONDS,
        path="/",
        secure=is_encrypted(request),
        httponly=True,
        samesite="lax",
    )
    return reply


def own_place(place: str) -> str:
    """A place of this server's to go on to; the start where somebody names another one."""
    is_own = re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", place) is not None
    return place if is_own else "/"


def _known(kind: Any, value: str, otherwise: str) -> Any:
    return value if value in get_args(kind) else otherwise
