"""Finds links and addresses: of the web, of mail, of machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from flywheel.collect.personal.kinds import Span, text_before

_URL = re.compile(
    r"(?ai)\b(?:https?|ftps?|sftp)://[!#-;=?-Z_a-z~]+|\bwww\.[a-z0-9-]+\.[!#-;=?-Z_a-z~]+"
)
_AT_DOMAIN = re.compile(
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_LOCAL_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?\Z")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")


def urls(text: str) -> Iterator[Span]:
    """Links."""
    if "://" not in text and "www." not in text.lower():
        return
    for match in _URL.finditer(text):
        link = match[0].rstrip(".,;:!?'*_~")
        # A closing bracket belongs to the link only where the link opened it.
        while link.endswith(")") and link.count(")") > link.count("("):
            link = link[:-1].rstrip(".,;:!?'*_~")
        yield match.start(), match.start() + len(link)


def emails(text: str) -> Iterator[Span]:
    """Email addresses, but not the names of images at two sizes."""
    if "@" not in text:
        return
    for match in _AT_DOMAIN.finditer(text):
        at = match.start()
        local = _LOCAL_PART.search(text[max(0, at - 64) : at])
        if local and not match[0].lower().endswith(_IMAGE_SUFFIXES):
            yield at - len(local[0]), match.end()


_MAC = re.compile(
    r"[0-9A-Fa-f](?<![0-9A-Za-z].)(?<![0-9A-Fa-f][:.-].)[0-9A-Fa-f]([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
    r"(?![0-9A-Za-z]|[:-][0-9A-Fa-f])"
)
_IPV4 = re.compile(
    r"[0-9](?<![0-9A-Za-z_].)(?<!\d[.,-].)\d{0,2}(?:\.\d{1,3}){3}(?![0-9A-Za-z_]|[.-]\d)"
)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{0,38}(?:(?:\.\d{1,3}){3})?"
    r"(?<!(?<!:):)(?![0-9A-Za-z_]|:[0-9A-Fa-f:])"
)
_NETWORK_WORD = re.compile(
    r"(?ai)\b(?:ip|ipv4|address|host|server|dns|gateway|proxy|ping|router|client|netmask|subnet)\b"
    r"|地址|网关|服务器|主机|子网"
)
_VERSION_BEFORE = re.compile(
    r"(?ai)(?:\b(?:version|ver|release|section|chapter|figure|table|clause|v)\.?"
    r"|§|第|版本|章|节|图|表)[ :：]?$"
)


def macs(text: str) -> Iterator[Span]:
    """Hardware addresses."""
    return (match.span() for match in _MAC.finditer(text))


def ips(text: str) -> Iterator[Span]:
    """Internet addresses of machines, of both lengths."""
    for match in _IPV4.finditer(text):
        if _is_address(match[0]) and not _is_section_number(match):
            yield match.span()
    if "::" in text or text.count(":") >= 7:
        for match in _IPV6.finditer(text):
            if _is_address(match[0]) and not _is_scope_operator(match[0]):
                yield match.span()


def _is_address(candidate: str) -> bool:
    try:
        ip_address(candidate)
    except ValueError:
        return False
    return True


def _is_section_number(match: re.Match[str]) -> bool:
    """Whether `4.2.1.1` heads a section or names a version, rather than a machine."""
    before = text_before(match, 40)
    if _VERSION_BEFORE.search(before):
        return True
    octets = [int(octet) for octet in match[0].split(".")]
    is_private = octets[0] in (10, 127) and octets[1] == 0
    return max(octets) < 26 and not is_private and not _NETWORK_WORD.search(before)


def _is_scope_operator(candidate: str) -> bool:
    """Whether `::` or `a::b` may be a name in code; the prefix of a link's own addresses is not."""
    num_groups = sum(map(bool, re.split("[:.]", candidate)))
    return num_groups < 3 and not (num_groups == 2 and candidate[:4].lower() in ("fe80", "ff02"))
