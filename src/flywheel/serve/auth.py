"""Who calls: a key in the header, or a cookie of a browser that signed in; and from which page.

Every request needs one, also on loopback: web pages, other local users and reverse proxies reach
it. `asker`, `curator` and `owner` are the dependencies by which a route says who may call it.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from flywheel.records import Role
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Service, service_of
from flywheel.store.keys import Stamp
from flywheel.wheel import keys
from flywheel.wheel.keys import Caller

COOKIE = "flywheel_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name where the connection is encrypted: under such a name a browser takes no cookie from
another host of the domain, nor from an unencrypted page, which could plant one."""
CSRF_HEADER = "X-CSRF-Token"

KNOWN_SECONDS = 1.0
"""How long a key is taken at its word: so much later at most a revoked one lets nobody in."""

_MAX_KNOWN = 10_000
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Known:
    """Who was let in."""

    caller: Caller
    epoch: int
    until: float
    """When to ask again in any case, by the clock."""


class Callers:
    """Callers by their secret. Whether any key was revoked is asked once a second for all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: seconds that never run backwards.
        """
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._stamp: Stamp | None = None
        self._epoch = 0
        """Grows when keys have changed: who was known before that is asked for again."""
        self._trusted_until = -math.inf
        self._looking: asyncio.Future[None] | None = None

    def has_known(self, scheme: str, secret: str) -> bool:
        """Whether this secret has let somebody in before, and was not found invalid since."""
        return _name(scheme, secret) in self._known

    def forget(self) -> None:
        """Asks again who each of them is: somebody was let out."""
        self._known.clear()
        self._epoch += 1

    def known(self, scheme: str, secret: str) -> Caller | None:
        """Who calls, where that need not be asked for; else None."""
        now = self._clock()
        known = self._known.get(_name(scheme, secret))
        is_current = known is not None and known.epoch == self._epoch and now < known.until
        return known.caller if known and is_current and now < self._trusted_until else None

    async def of(self, service: Service, scheme: str, secret: str) -> Caller | None:
        """Who calls with a key (`key`) or a session's cookie (`cookie`)."""
        await self._look(service)
        if (known := self.known(scheme, secret)) is not None:
            return known
        now, epoch = self._clock(), self._epoch
        name = _name(scheme, secret)
        look_up = keys.caller_of if scheme == "key" else keys.caller_of_session
        caller = await service.run(look_up, service.workspace.database, secret)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        if caller is None:
            self._known.pop(name, None)
        elif epoch == self._epoch:  # else what was read may be older than the change
            until = math.inf if scheme == "key" else now + KNOWN_SECONDS
            self._known[name] = _Known(caller, epoch, until)
        return caller

    async def _look(self, service: Service) -> None:
        """Sees whether keys have changed, unless that was seen within the last second."""
        if self._clock() < self._trusted_until:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._read_stamp(service))
        await asyncio.shield(self._looking)

    async def _read_stamp(self, service: Service) -> None:
        now = self._clock()
        stamp = await service.run(keys.stamp, service.workspace.database)
        if stamp != self._stamp:
            self._epoch += 1
            self._stamp = stamp
        self._trusted_until = now + KNOWN_SECONDS


def _name(scheme: str, secret: str) -> str:
    return keys.hash_of(f"{scheme}:{secret}")


async def caller(request: Request) -> Caller:
    """Who calls.

    Raises:
        ApiError: 401, nobody who may; 403, a page that is not ours sent a cookie along.
    """
    found = await identified(request)
    if changes(request, found):
        check_csrf(found, request.headers.get(CSRF_HEADER, ""))
    return found


def changes(request: Request, caller: Caller) -> bool:
    """Whether a request may change something by a cookie, which browsers send unasked."""
    return bool(caller.csrf) and request.method not in _SAFE_METHODS


async def identified(request: Request) -> Caller:
    """Whose key or cookie a request carries, whichever page sent it.

    Raises:
        ApiError: 401, nobody's who may call.
    """
    service = service_of(request)
    scheme, secret = _secret(request)
    if not secret:
        raise ApiError(
            401,
            "Send a key: Authorization: Bearer KEY. `flywheel keys add` makes one.",
            code="missing_api_key",
        )
    found = service.callers.known(scheme, secret)
    if found is None:
        found = await service.callers.of(service, scheme, secret)
    if found is None:
        # Only now: whoever guesses behind a proxy locks nobody out who comes with a valid key, and
        # one of 2^256 is not found by being told at once.
        service.guesses.wrong(address_of(request))
        raise ApiError(
            401,
            "This key lets nobody in: it is unknown, revoked or expired.",
            code="invalid_api_key",
        )
    request.state.caller = found
    return found


def check_csrf(caller: Caller, sent: str) -> None:
    """Lets a page pass that knows its session's token: a browser sends the cookie unasked.

    Raises:
        ApiError: 403, it does not.
    """
    if not hmac.compare_digest(sent.encode(), caller.csrf.encode()):
        raise ApiError(
            403, f"The header {CSRF_HEADER} is missing or of another session.", code="csrf"
        )


def is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, to the server or to a proxy in front of it."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return "https" in (request.url.scheme, forwarded)


def cookie_name(request: Request) -> str:
    """What a session's cookie is called on this connection."""
    return SECURE_COOKIE if is_encrypted(request) else COOKIE


def cookie_of(request: Request) -> str:
    """The session's cookie; empty where there is none."""
    return request.cookies.get(cookie_name(request), "")


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


def _secret(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return "key", value.strip()
    return "cookie", cookie_of(request)


def _requiring(role: Role) -> Callable[[Request], Awaitable[Caller]]:
    async def required(request: Request) -> Caller:
        found = await caller(request)
        service_of(request).limits.take(found.key)
        if not found.may(role):
            raise ApiError(
                403, f"This needs the role {role}; the key's is {found.role}.", code="forbidden"
            )
        return found

    return required


Asker = Annotated[Caller, Depends(_requiring("asker"))]
Curator = Annotated[Caller, Depends(_requiring("curator"))]
Owner = Annotated[Caller, Depends(_requiring("owner"))]
