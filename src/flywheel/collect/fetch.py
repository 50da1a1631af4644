"""One page that the user named, over http or https; nothing here follows links in a page.

A host that the owner names may be private. A public one may not lead to a private one, neither
by a redirect nor by its name's changing its address: the address that was really connected to
is checked before a byte of the body is read. Proxies of the environment are not used.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flywheel.errors import ExtractError

if TYPE_CHECKING:
    import httpx

_MAX_REDIRECTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What came back: `url` is where the redirects ended, `modified` is 0 where it is not told."""

    url: str
    data: bytes
    modified: float
    media_type: str


def fetch(url: str, max_bytes: int, timeout_seconds: float) -> Page:
    """The page at `url`.

    Raises:
        ExtractError: it does not answer with 200 in time, is too large, or leads to a private host.
    """
    import httpx

    try:
        with httpx.Client(timeout=timeout_seconds, trust_env=False) as client:
            return _follow(client, url, max_bytes, time.monotonic() + timeout_seconds)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ValueError) as error:
        raise ExtractError(f"page not reachable: {type(error).__name__}") from error


def _follow(client: httpx.Client, url: str, max_bytes: int, deadline: float) -> Page:
    may_be_private = _is_private_host(url)
    for _ in range(_MAX_REDIRECTS + 1):
        if urlsplit(url).scheme not in ("http", "https"):
            raise ExtractError("page leads to an address that is not http or https")
        if not may_be_private and _is_private_host(url):
            raise ExtractError("public page leads to a private address")
        with client.stream("GET", url, headers={"accept-encoding": "gzip, deflate"}) as response:
            if not may_be_private:
                _check_peer(response)
            if response.next_request is not None:
                url = str(response.next_request.url)
                continue
            return _page(response, max_bytes, deadline)
    raise ExtractError("page redirects too often")


def _page(response: httpx.Response, max_bytes: int, deadline: float) -> Page:
    if response.status_code != 200:
        raise ExtractError(f"page answers with {response.status_code}")
    data = bytearray()
    for chunk in response.iter_bytes(65536):
        data += chunk
        if len(data) > max_bytes:
            raise ExtractError("too large")
        if time.monotonic() > deadline:
            raise ExtractError("page takes too long")
    return Page(
        url=str(response.url),
        data=bytes(data),
        modified=_modified(response.headers.get("last-modified", "")),
        media_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
    )


def _modified(header: str) -> float:
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _is_private_host(url: str) -> bool:
    """Whether any address of the host is not a public one."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ExtractError("address without a host")
    found = socket.getaddrinfo(parts.hostname, parts.port or 0, type=socket.SOCK_STREAM)
    return any(_is_private(str(entry[4][0])) for entry in found)


def _check_peer(response: httpx.Response) -> None:
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if peer is None or _is_private(str(peer[0])):
        raise ExtractError("public page leads to a private address")


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return not (mapped or ip).is_global
