"""Who calls: a key in the header, or a cookie of a browser that signed in; and from which page.

Every request needs one, also on loopback: web pages, other local users and reverse proxies reach
it. `asker`, `curator` and `owner` are the dependencies by which a route says who may call it.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from flywheel.records import Role
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Service, service_of
from flywheel.wheel import keys
from flywheel.wheel.keys import Caller

COOKIE = "flywheel_session"
CSRF_HEADER = "X-CSRF-Token"

KNOWN_SECONDS = 1.0
"""How long a key is taken at its word: so much later at most a revoked one lets nobody in."""

_MAX_KNOWN = 10_000
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Callers:
    """Callers by their secret, remembered for a second."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Caller | None]] = {}

    async def of(self, service: Service, scheme: str, secret: str) -> Caller | None:
        """Who calls with a key (`key`) or a session's cookie (`cookie`)."""
        now = time.monotonic()
        name = keys.hash_of(f"{scheme}:{secret}")
        known = self._known.get(name)
        if known and known[0] > now:
            return known[1]
        look_up = keys.caller_of if scheme == "key" else keys.caller_of_session
        caller = await service.run(look_up, service.workspace.database, secret)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        if caller is not None:
            self._known[name] = (now + KNOWN_SECONDS, caller)
        else:
            self._known.pop(name, None)
        return caller


async def caller(request: Request) -> Caller:
    """Who calls.

    Raises:
        ApiError: 401, nobody who may; 403, a page that is not ours sent a cookie along.
    """
    service = service_of(request)
    scheme, secret = _secret(request)
    address = request.client.host if request.client else ""
    if not secret:
        raise ApiError(
            401,
            "Send a key: Authorization: Bearer KEY. `flywheel keys add` makes one.",
            code="missing_api_key",
        )
    service.guesses.check(address)
    found = await service.callers.of(service, scheme, secret)
    if found is None:
        service.guesses.count(address)
        raise ApiError(
            401,
            "This key lets nobody in: it is unknown, revoked or expired.",
            code="invalid_api_key",
        )
    if found.csrf and request.method not in _SAFE_METHODS:
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), found.csrf.encode()):
            raise ApiError(
                403, f"The header {CSRF_HEADER} is missing or of another session.", code="csrf"
            )
    request.state.caller = found
    return found


def _secret(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return "key", value.strip()
    return "cookie", request.cookies.get(COOKIE, "")


def _requiring(role: Role) -> Callable[[Request], Awaitable[Caller]]:
    async def required(request: Request) -> Caller:
        found = await caller(request)
        if not found.may(role):
            raise ApiError(
                403, f"This needs the role {role}; the key's is {found.role}.", code="forbidden"
            )
        return found

    return required


Asker = Annotated[Caller, Depends(_requiring("asker"))]
Curator = Annotated[Caller, Depends(_requiring("curator"))]
Owner = Annotated[Caller, Depends(_requiring("owner"))]
