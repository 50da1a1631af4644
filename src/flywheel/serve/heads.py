"""What a request says before its body: whom it calls, from which page, and what it brings.

Here is read what guard.py decides by. Names and origins are compared in one form: lower case,
addresses as the standard library writes them, names of other scripts in ASCII.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from flywheel.serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Scope

    from flywheel.wheel.serving import ServeSettings

MAX_TARGET_BYTES = 8 * 1024

_ONCE = frozenset(
    b"host origin content-length content-type content-encoding transfer-encoding authorization "
    b"expect sec-fetch-site sec-fetch-mode".split()
)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_IN_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)")
_PORTS = {"http": "80", "https": "443"}


class Head:
    """What a request says before its body."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.values = dict(reversed(self._headers))
        """By name in lower case; the first, where there are several."""
        self.content_length = _size(self.values.get(b"content-length"))
        self.has_body = b"transfer-encoding" in self.values or self.content_length != 0
        self.media_type = self.values.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self.origin = self._text(b"origin")
        self.is_preflight = (
            scope["method"] == "OPTIONS" and b"access-control-request-method" in self.values
        )
        matched = _HOST.fullmatch(self._text(b"host"))
        self.host = _address(matched[1]) if matched else ""
        self._port = matched[2] if matched else None
        server = scope.get("server")
        self.own_address = _address(str(server[0])) if server else ""

    def _text(self, name: bytes) -> str:
        return self.values.get(name, b"").decode("latin-1").lower()

    def check(self) -> None:
        """Refuses a head that can be read in several ways, or that could slip into a log.

        Raises:
            ApiError: 400 or 414.
        """
        query: bytes = self.scope["query_string"]
        if len(self.scope.get("raw_path") or b"") + len(query) > MAX_TARGET_BYTES:
            raise ApiError(414, "The address is too long.", code="target_too_long")
        if _CONTROL_IN_PATH.search(self.scope["path"]) or b"%00" in query:
            raise _bad_head("The address holds control characters.")
        names = [name for name, _ in self._headers]
        if any(names.count(name) > 1 for name in _ONCE.intersection(names)):
            raise _bad_head("A header that may be there once is there several times.")
        for name, value in self._headers:
            if not _NAME.fullmatch(name) or _CONTROL.search(value):
                raise _bad_head("A header holds characters that none may hold.")
        if b"transfer-encoding" in self.values and b"content-length" in self.values:
            raise _bad_head("The body's length is given in two ways.")
        if self.content_length is None and b"content-length" in self.values:
            raise _bad_head("The body's length is not a number.")
        if not self.host:
            raise _bad_head("The header Host is missing, or is not a name or an address.")

    @property
    def is_own_page(self) -> bool:
        """Whether no page, or one of the server's own, sends this, as far as a browser tells."""
        if not self.origin:
            site, mode = self._text(b"sec-fetch-site"), self._text(b"sec-fetch-mode")
            moves = mode == "navigate" and self.scope["method"] in ("GET", "HEAD")
            return site in ("", "none", "same-origin") or moves
        origin = _ORIGIN.fullmatch(self.origin)
        place = origin and _HOST.fullmatch(origin[2])
        if not origin or not place:
            return False
        port = _PORTS[origin[1]]
        return (_address(place[1]), place[2] or port) == (self.host, self._port or port)


def names(settings: ServeSettings) -> frozenset[str]:
    """What the server may be called. An address to listen at that stands for all is no name."""
    return frozenset(_names(settings))


def _names(settings: ServeSettings) -> Iterator[str]:
    yield from ("localhost", "127.0.0.1", "::1")
    for each in (settings.host, *settings.hosts):
        matched = _HOST.fullmatch(_as_sent(each)) or _HOST.fullmatch(f"[{each.lower()}]")
        if matched and not _is_any(matched[1]):
            yield _address(matched[1])


def origins(settings: ServeSettings) -> dict[str, bytes]:
    """The pages elsewhere that may call: as they are compared, and as they are answered."""
    sent = (_as_sent(each) for each in settings.origins)
    return {each: each.encode() for each in sent if _ORIGIN.fullmatch(each)}


def _as_sent(name: str) -> str:
    """A name or an origin as it is sent: browsers write 例子.中国 in ASCII."""
    scheme, mark, rest = name.rpartition("://")
    name, colon, port = rest.partition(":")
    try:
        written = rest if rest.isascii() else name.encode("idna").decode() + colon + port
    except UnicodeError:
        written = ""
    return (scheme + mark + written).lower().rstrip("/")


@lru_cache(maxsize=1024)
def _address(name: str) -> str:
    """An address in the one form that it is compared in; a name as it is."""
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return name
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_any(name: str) -> bool:
    return _address(name) in ("0.0.0.0", "::")


def _size(value: bytes | None) -> int | None:
    """A Content-Length: 0 where there is none, None where it is no number."""
    if value is None:
        return 0
    return int(value) if value.isdigit() and len(value) <= 18 else None


def _bad_head(message: str) -> ApiError:
    return ApiError(400, message, code="bad_request_head")
