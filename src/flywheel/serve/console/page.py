"""A page of the console: who looks at it, in which language and theme, and how it is rendered.

A route takes `AskerPage`, `CuratorPage` or `OwnerPage` as its parameter, and is not reached by
anybody else: who has not signed in is sent to do so. What goes wrong is told as a page, or as a
notice where htmx asked for a part. Not here: what the pages show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar
from urllib.parse import quote

from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import HTMLResponse, RedirectResponse, Response

from flywheel.records import Role
from flywheel.serve.auth import CSRF_HEADER, changes, check_csrf, identified
from flywheel.serve.console import rendering
from flywheel.serve.console.preferences import Preferences
from flywheel.serve.console.words import Words
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Service, service_of
from flywheel.serve.shapes import Body
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

P = ParamSpec("P")
T = TypeVar("T")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""What a browser lets a page do: nothing that does not come from this server as a file."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    # With no-referrer a browser would hide even from the page itself which page sends a form.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie, HX-Request",
}
_NOTICES = {"HX-Retarget": "#notices", "HX-Reswap": "beforeend"}


class PageForm(Body):
    """What every form of the console sends."""

    csrf: str = Field(default="", max_length=200)
    """The session's token, where no script sends it as a header."""


class PageError(ApiError):
    """What cannot be done, in the words of a catalogue."""

    def __init__(self, status: int, key: str, *, code: str | None = None, **values: Any) -> None:
        """
        Args:
            key: of the text, such as `exam.not_there`.
            values: what it names.
        """
        super().__init__(status, Words("en")(key, **values), code=code)
        self.key, self.values = key, values


class Rendered(HTMLResponse):
    """A page that is made of its template on a thread, as it is sent: what users wrote may take a
    while to be rendered, and nobody else is to wait for it."""

    def __init__(
        self, render: Callable[[], str], service: Service, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._make, self._service = render, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        content = await self._service.run(self._make)
        self.body = content.encode()
        self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is shown to a browser, whoever uses it."""

    request: Request
    preferences: Preferences

    @property
    def t(self) -> Words:
        """The words of its language."""
        return Words(self.preferences.language)

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx asked for a part of a page."""
        return self.request.headers.get("HX-Request") == "true"

    def html(
        self,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """A page; or what it shows, without what is around, where htmx asked."""
        return self._rendered(template, values, status, headers, whole=not self.wants_fragment)

    def fragment(
        self,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """A part of a page, by a template of its own."""
        return self._rendered(template, values, status, headers, whole=True)

    def _rendered(
        self,
        template: str,
        values: dict[str, Any],
        status: int,
        headers: dict[str, str] | None,
        *,
        whole: bool,
    ) -> Response:
        every = self._values() | values
        return Rendered(
            lambda: rendering.render(template, every, whole=whole),
            service_of(self.request),
            status,
            _HEADERS | (headers or {}),
        )

    def problem(self, error: ApiError) -> Response:
        """What went wrong: as a notice on the page that is shown, or as a page."""
        told = error.message
        if isinstance(error, PageError):
            told = self.t(error.key, **error.values)
        elif (key := f"console.problem.{error.code}") and self.t.has(key):
            told = self.t(key)
        if self.wants_fragment:
            headers = _NOTICES | error.headers()
            return self.fragment("notice.html", status=error.status, headers=headers, told=told)
        return self.html("problem.html", status=error.status, headers=error.headers(), told=told)

    def see(self, place: str) -> Response:
        """Sends the browser to another page."""
        if self.wants_fragment:
            return Response(status_code=204, headers={"HX-Redirect": place})
        return RedirectResponse(place, status_code=303, headers={"Cache-Control": "no-store"})

    def _values(self) -> dict[str, Any]:
        return {
            "t": self.t,
            "language": self.preferences.language,
            "preferences": self.preferences,
            "path": self.request.url.path,
            "viewer": None,
            "static": rendering.STATIC,
        }


@dataclass(frozen=True, slots=True)
class Page(Look):
    """A page that somebody looks at who signed in."""

    service: Service
    caller: Caller

    @property
    def workspace(self) -> Workspace:
        """What it is about."""
        return self.service.workspace

    @property
    def language(self) -> str:
        """`en` or `zh`."""
        return self.preferences.language

    @property
    def theme(self) -> str:
        """`auto`, `light` or `dark`."""
        return self.preferences.theme

    async def run(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What a function that may block returns: on a thread, within the caller's limits."""
        async with self.service.limits.admitted(self.caller.key):
            return await self.service.run(function, *args, **named)

    def _values(self) -> dict[str, Any]:
        return Look._values(self) | {"viewer": self.caller}


def look_of(request: Request) -> Look:
    """How to show a page to whoever need not have signed in."""
    return Look(request, Preferences.of(request))


def _requiring(role: Role) -> Callable[[Request], Awaitable[Page]]:
    async def required(request: Request) -> Page:
        look = look_of(request)
        request.state.as_page = lambda error: _told(look, error)
        caller = await identified(request)
        service = service_of(request)
        service.limits.take(caller.key)
        page = Page(request, look.preferences, service, caller)
        request.state.as_page = page.problem
        if changes(request, caller):
            check_csrf(caller, request.headers.get(CSRF_HEADER) or await _sent_token(request))
        if not caller.may(role):
            raise PageError(403, "console.problem.role", role=look.t.of("console.role", role))
        return page

    return required


async def _sent_token(request: Request) -> str:
    form = await request.form()
    return str(form.get("csrf", ""))


def _told(look: Look, error: ApiError) -> Response:
    """To whoever has not signed in: the page to do so."""
    if error.status != 401:
        return look.problem(error)
    request = look.request
    if look.wants_fragment:
        # What was typed stays on the page, and can be sent once he has signed in (console.js). Told
        # once, however often the page asks for a part of itself.
        told = look.problem(PageError(401, "console.problem.signed_out"))
        told.headers["HX-Reswap"] = "innerHTML"
        return told
    place = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        place += f"?{request.url.query}"
    return look.see("/signin" if place == "/" else f"/signin?next={quote(place)}")


async def tell_no_page(request: Request) -> Response:
    """Where nothing is: said as a page, with the way to others for whoever has signed in."""
    look = look_of(request)
    error = PageError(404, "console.problem.no_page")
    try:
        caller = await identified(request)
    except ApiError:
        return look.problem(error)
    return Page(request, look.preferences, service_of(request), caller).problem(error)


AskerPage = Annotated[Page, Depends(_requiring("asker"))]
CuratorPage = Annotated[Page, Depends(_requiring("curator"))]
OwnerPage = Annotated[Page, Depends(_requiring("owner"))]
