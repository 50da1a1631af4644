"""Browsers sign in: by a link that holds once, or by pasting a key; and out again.

A session is a cookie that no script reads and no other site makes a browser send. The page needs
no script. Showing it uses no link up, since what looks at
links in mails or ahead of clicks shows pages, too: only its button does. Who a cookie stands for
is auth.py's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from flywheel.records import Role
from flywheel.serve.auth import (
    CSRF_HEADER,
    Asker,
    address_of,
    check_csrf,
    cookie_name,
    cookie_of,
    is_encrypted,
)
from flywheel.serve.console.page import Look, look_of
from flywheel.serve.console.preferences import own_place
from flywheel.serve.service import Service, Serving
from flywheel.serve.shapes import ERRORS, Body
from flywheel.store.keys import Key
from flywheel.wheel import keys

_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {
        "description": each["description"],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}},
    }
    for status, each in ERRORS.items()
}
"""Errors are JSON here, too, though the routes are pages."""

router = APIRouter(tags=["session"], responses=_REFUSED)

TOKEN_SECONDS = 600
"""How long a one-time link holds."""

_MAX_CHARS = 200
_MAX_PLACE_CHARS = 2000

Problem = Literal["bad_link", "bad_key", "no_owner"]
"""Why somebody is not let in."""


class SignIns:
    """One-time tokens, in memory: whoever started the server hands one to his browser."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expiries: dict[str, float] = {}

    def make(self) -> str:
        """A new token."""
        now = self._clock()
        self._expiries = {name: at for name, at in self._expiries.items() if at > now}
        token = secrets.token_urlsafe(32)
        self._expiries[keys.hash_of(token)] = now + TOKEN_SECONDS
        return token

    def holds(self, token: str) -> bool:
        """Whether it would let somebody in."""
        return self._expiries.get(keys.hash_of(token), 0.0) > self._clock()

    def take(self, token: str) -> bool:
        """Whether it lets somebody in, which it does once."""
        return self._expiries.pop(keys.hash_of(token), 0.0) > self._clock()


@router.get(
    "/signin",
    response_class=HTMLResponse,
    summary="The page to sign in at",
    responses={200: {"description": "A page with a form; it changes nothing."}},
)
async def show(
    request: Request,
    token: Annotated[
        str,
        Query(
            max_length=_MAX_CHARS,
            description="Of a one-time link.",
            examples=["kxU1r3T0m9Qd8wZ2"],
        ),
    ] = "",
    next: Annotated[
        str, Query(max_length=_MAX_PLACE_CHARS, description="Where to go on to.")
    ] = "/",
) -> Response:
    """The page to sign in at. A link that holds once still does afterwards."""
    look, sign_ins = look_of(request), _sign_ins(request)
    if token and not (sign_ins and sign_ins.holds(token)):
        return _page(look, problem="bad_link", next=next)
    return _page(look, token=token, next=next)


class SignInForm(Body):
    """What the page sends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "fw-…"}, {"token": "…"}]})

    token: str = Field(default="", max_length=_MAX_CHARS, description="Of a one-time link.")
    key: str = Field(default="", max_length=_MAX_CHARS, description="A key's secret.")
    next: str = Field(
        default="/", max_length=_MAX_PLACE_CHARS, description="Where on this server to go on to."
    )


@router.post(
    "/signin",
    status_code=303,
    response_class=RedirectResponse,
    summary="Sign in",
    responses={
        303: {"description": "Signed in: the session's cookie comes along."},
        401: {"description": "Neither the link nor the key holds.", "content": {"text/html": {}}},
    },
)
async def sign_in(
    request: Request, service: Serving, form: Annotated[SignInForm, Form()]
) -> Response:
    """Starts a session by a one-time link's token or by a key; another than was there before."""
    key, problem = await _key(request, service, form)
    if key is None:
        service.guesses.wrong(address_of(request))
        return _page(look_of(request), problem=problem, next=form.next, status=401)
    service.limits.take(key.id)
    cookie = await service.run(
        keys.sign_in, service.workspace.database, key, instead_of=cookie_of(request)
    )
    service.callers.forget()
    reply = _leaving(own_place(form.next))
    reply.set_cookie(
        cookie_name(request),
        cookie,
        max_age=keys.SESSION_HOURS * 3600,
        path="/",
        secure=is_encrypted(request),
        httponly=True,
        samesite="strict",
    )
    return reply


@router.get(
    "/",
    status_code=303,
    response_class=RedirectResponse,
    summary="The console",
    responses={303: {"description": "To the page to ask at, or to sign in at."}},
)
async def home(request: Request, service: Serving) -> Response:
    """Leads to the console, and who has not signed in to the page to do so."""
    cookie, database = cookie_of(request), service.workspace.database
    found = await service.run(keys.caller_of_session, database, cookie) if cookie else None
    return _leaving("/ask" if found else "/signin")


class SignOutForm(Body):
    """What a page sends that has no script; others send the token as a header."""

    csrf: str = Field(default="", max_length=_MAX_CHARS, description="The session's token.")


@router.post(
    "/signout",
    status_code=303,
    response_class=RedirectResponse,
    summary="Sign out",
    responses={303: {"description": "Signed out."}},
)
async def sign_out(
    request: Request, service: Serving, form: Annotated[SignOutForm, Form()]
) -> Response:
    """Ends the browser's session. Where there is none, there is nothing to do."""
    cookie = cookie_of(request)
    database = service.workspace.database
    found = await service.run(keys.caller_of_session, database, cookie) if cookie else None
    if found:
        check_csrf(found, request.headers.get(CSRF_HEADER, "") or form.csrf)
        await service.run(keys.sign_out, database, cookie)
        service.callers.forget()
    reply = _leaving("/signin")
    reply.delete_cookie(
        cookie_name(request),
        path="/",
        secure=is_encrypted(request),
        httponly=True,
        samesite="strict",
    )
    return reply


class Me(BaseModel):
    """Who calls."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "me",
                    "key": "5f0c2a9be1d4",
                    "name": "service desk",
                    "role": "asker",
                    "access": ["public", "staff"],
                    "csrf": None,
                }
            ]
        }
    )

    object: Literal["me"] = "me"
    key: str = Field(description="The key's id.")
    name: str = Field(description="The user that the key acts as.")
    role: Role
    access: list[str] | None = Field(description="The labels that it reads; null is everything.")
    csrf: str | None = Field(
        description=f"What a browser's session sends as {CSRF_HEADER}; null for a key."
    )


@router.get("/v1/me", response_model=Me, summary="Who calls")
async def me(caller: Asker) -> Response:
    """Who the key, or the browser's session, stands for."""
    told = Me(
        key=caller.key,
        name=caller.name,
        role=caller.role,
        access=None if caller.access is None else list(caller.access),
        csrf=caller.csrf or None,
    )
    return JSONResponse(told.model_dump(mode="json"))


def _sign_ins(request: Request) -> SignIns | None:
    sign_ins: SignIns | None = getattr(request.app.state, "sign_ins", None)
    return sign_ins


async def _key(request: Request, service: Service, form: SignInForm) -> tuple[Key | None, Problem]:
    """The key to act by, or why there is none. A token is used up only where there is one."""
    database = service.workspace.database
    if not form.token:
        return await service.run(keys.key_of, database, form.key.strip()), "bad_key"
    owner = await service.run(keys.first_owner, database)
    if owner is None:
        return None, "no_owner"
    sign_ins = _sign_ins(request)
    return owner if sign_ins and sign_ins.take(form.token) else None, "bad_link"


def _leaving(place: str) -> RedirectResponse:
    return RedirectResponse(place, status_code=303, headers={"Cache-Control": "no-store"})


def _page(
    look: Look, *, next: str, token: str = "", problem: Problem | None = None, status: int = 200
) -> Response:
    return look.html(
        "signin.html",
        status=status,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else {},
        token=token,
        next=own_place(next),
        problem=look.t.of("console.signin", problem) if problem else "",
    )
