"""EPUB to text: the chapters in the order of the book's spine."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from flywheel.collect.formats.content import Content
from flywheel.collect.formats.decode import decode
from flywheel.collect.formats.html import parse_html
from flywheel.collect.formats.html_markdown import html_markdown, tag
from flywheel.collect.formats.package import Package
from flywheel.errors import ExtractError

_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


def extract_epub(data: bytes) -> Content:
    """The book's text, title and publication date.

    Raises:
        ExtractError: corrupt, or its chapters are encrypted.
    """
    with Package(data, "EPUB") as package:
        book = _book(package)
        opf = package.xml(book)
        chapters = _chapters(package, book)
        texts = [_chapter(package, name) for name in chapters]
        found = {}
        for item in opf.iter():
            if tag(item) in ("title", "date") and tag(item) not in found:
                found[tag(item)] = (item.text or "").strip()
    date = _DATE.match(found.get("date", ""))
    return Content(
        title=found.get("title", ""),
        text="\n\n".join(text for text in texts if text),
        date=date.group() if date else "",
    )


def _book(package: Package) -> str:
    for item in package.xml("META-INF/container.xml").iter():
        if tag(item) == "rootfile" and item.get("full-path"):
            return str(item.get("full-path"))
    raise ExtractError("corrupt EPUB")


def _chapters(package: Package, book: str) -> list[str]:
    """The parts of the spine, without the table of contents."""
    opf = package.xml(book)
    folder = posixpath.dirname(book)
    parts = {
        item.get("id", ""): posixpath.normpath(
            posixpath.join(folder, unquote(item.get("href", "")))
        )
        for item in opf.iter()
        if tag(item) == "item" and "nav" not in item.get("properties", "").split()
    }
    spine = [item.get("idref", "") for item in opf.iter() if tag(item) == "itemref"]
    chapters = [parts[name] for name in spine if parts.get(name) in package.names]
    if locked := _encrypted(package) & set(chapters):
        raise ExtractError("encrypted" if len(locked) == len(chapters) else "partly encrypted")
    return chapters


def _encrypted(package: Package) -> set[str]:
    if "META-INF/encryption.xml" not in package.names:
        return set()
    items = package.xml("META-INF/encryption.xml").iter()
    return {unquote(i.get("URI", "")) for i in items if tag(i) == "CipherReference"}


def _chapter(package: Package, name: str) -> str:
    root = parse_html(decode(package.read(name)))
    body = next((item for item in root.iter() if tag(item) == "body"), root)
    return html_markdown(body)
