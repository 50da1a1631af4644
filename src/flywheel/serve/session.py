"""Browsers sign in: by a link that holds once, or by pasting a key; and out again.

A session is a cookie that no script reads and no other site makes a browser send. The page has no
script, and says the same in English and Chinese. Showing it uses no link up, since what looks at
links in mails or ahead of clicks shows pages, too: only its button does. Who a cookie stands for
is auth.py's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
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
_HTML: dict[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    # With no-referrer a browser would hide even from the page itself which page sends the form.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """What the page says, in one language."""

    language: str
    title: str
    once: str
    button: str
    paste: str
    key: str
    bad_link: str
    bad_key: str
    no_owner: str
    welcome: str
    signed_in: str
    address: str
    document: str
    leave: str


_ENGLISH = _Words(
    language="en",
    title="Sign in to Flywheel",
    once="This link signs this browser in as the owner. It holds once.",
    button="Sign in",
    paste="Or sign in with a key:",
    key="Key",
    bad_link="This link holds no more: it was used, or is older than ten minutes. "
    "Sign in with a key, or start the server again for another link.",
    bad_key="This key lets nobody in: it is unknown, revoked or expired.",
    no_owner='No owner\'s key is valid. flywheel keys add --name "you" --role owner makes one.',
    welcome="Flywheel",
    signed_in="You are signed in as {name}, in the role {role}.",
    address="Programs that speak the OpenAI API find it at",
    document="All that can be called there, as an OpenAPI document",
    leave="Sign out",
)
_CHINESE = _Words(
    language="zh",
    title="登录 Flywheel",
    once="此链接让本浏览器以所有者身份登录，仅可使用一次。",
    button="登录",
    paste="或使用密钥登录：",
    key="密钥",
    bad_link="此链接已失效：已被使用，或已超过十分钟。请使用密钥登录，或重新启动服务器以获得新链接。",
    bad_key="此密钥无效：未知、已撤销或已过期。",
    no_owner='没有有效的所有者密钥。请运行 flywheel keys add --name "您的名字" --role owner。',
    welcome="Flywheel",
    signed_in="您已登录为 {name}，角色为 {role}。",
    address="使用 OpenAI 接口的程序请访问",
    document="全部接口的 OpenAPI 文档",
    leave="退出登录",
)


def prefers_chinese(request: Request) -> bool:
    """Whether a browser asks for Chinese rather than for English."""
    best: dict[str, float] = {}
    for part in request.headers.get("Accept-Language", "")[:_MAX_CHARS].split(","):
        name, _, parameter = part.strip().lower().partition(";")
        language = name.partition("-")[0].strip()
        best[language] = max(best.get(language, 0.0), _quality(parameter))
    return best.get("zh", 0.0) > best.get("en", 0.0)


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


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
) -> Response:
    """The page to sign in at. A link that holds once still does afterwards."""
    words = _words(request)
    sign_ins = _sign_ins(request)
    if token and not (sign_ins and sign_ins.holds(token)):
        return _page(words, problem=words.bad_link)
    return _page(words, token=token)


class SignInForm(Body):
    """What the page sends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "fw-…"}, {"token": "…"}]})

    token: str = Field(default="", max_length=_MAX_CHARS, description="Of a one-time link.")
    key: str = Field(default="", max_length=_MAX_CHARS, description="A key's secret.")


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
    words = _words(request)
    key, problem = await _key(request, service, form, words)
    if key is None:
        service.guesses.wrong(address_of(request))
        return _page(words, problem=problem, status=401)
    service.limits.take(key.id)
    cookie = await service.run(
        keys.sign_in, service.workspace.database, key, instead_of=cookie_of(request)
    )
    service.callers.forget()
    reply = _leaving("/")
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
    response_class=HTMLResponse,
    summary="The page of who signed in",
    responses={303: {"description": "Nobody signed in: to the page to sign in at."}},
)
async def home(request: Request, service: Serving) -> Response:
    """Says who signed in, and where the API is; nobody is sent to sign in."""
    cookie, words = cookie_of(request), _words(request)
    database = service.workspace.database
    found = await service.run(keys.caller_of_session, database, cookie) if cookie else None
    if found is None:
        return _leaving("/signin")
    scheme = "https" if is_encrypted(request) else "http"
    address = f"{scheme}://{request.url.netloc}/v1"
    return _html(
        words,
        words.welcome,
        [
            f"<p>{escape(words.signed_in.format(name=found.name, role=found.role))}</p>",
            f"<p>{escape(words.address)} <code>{escape(address)}</code></p>",
            f'<p><a href="/openapi.json">{escape(words.document)}</a></p>',
            '<form method="post" action="/signout">'
            f'<input type="hidden" name="csrf" value="{escape(found.csrf)}">'
            f'<button type="submit">{escape(words.leave)}</button></form>',
        ],
    )


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


def _words(request: Request) -> _Words:
    return _CHINESE if prefers_chinese(request) else _ENGLISH


async def _key(
    request: Request, service: Service, form: SignInForm, words: _Words
) -> tuple[Key | None, str]:
    """The key to act by, or why there is none. A token is used up only where there is one."""
    database = service.workspace.database
    if not form.token:
        return await service.run(keys.key_of, database, form.key.strip()), words.bad_key
    owner = await service.run(keys.first_owner, database)
    if owner is None:
        return None, words.no_owner
    sign_ins = _sign_ins(request)
    return owner if sign_ins and sign_ins.take(form.token) else None, words.bad_link


def _leaving(place: str) -> RedirectResponse:
    return RedirectResponse(place, status_code=303, headers={"Cache-Control": "no-store"})


def _page(words: _Words, *, token: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    parts = [f"<p><strong>{escape(problem)}</strong></p>"] if problem else []
    if token:
        parts.append(
            f"<p>{escape(words.once)}</p>\n"
            '<form method="post" action="/signin">'
            f'<input type="hidden" name="token" value="{escape(token)}">'
            f'<button type="submit">{escape(words.button)}</button></form>'
        )
    parts.append(
        f"<p>{escape(words.paste)}</p>\n"
        '<form method="post" action="/signin">'
        f'<label>{escape(words.key)} <input type="password" name="key" required '
        f'autocomplete="current-password" maxlength="{_MAX_CHARS}"></label> '
        f'<button type="submit">{escape(words.button)}</button></form>'
    )
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return _html(words, words.title, parts, status, challenge)


def _html(
    words: _Words,
    title: str,
    parts: Sequence[str],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page of these parts, which are escaped already."""
    title = escape(title)
    content = (
        f'<!doctype html>\n<html lang="{words.language}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )
    return HTMLResponse(content, status, _HTML | dict(headers or {}))
