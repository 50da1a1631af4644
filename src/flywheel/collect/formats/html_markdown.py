"""An HTML tree as Markdown: headings, paragraphs, lists, tables, code.

Inline marks (bold, links) leave only their words, so that a quote stays verbatim. Code is
indented by four spaces: a `#` in it is no heading. Choosing which part of a page to take is the
caller's concern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from flywheel.collect.formats.content import no_headings
from flywheel.collect.formats.table import markdown_table

_SKIP = re.compile(
    r"script|style|noscript|template|svg|math|iframe|object|head|button|select|input|textarea"
    r"|audio|video|canvas|rt|rp"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = re.compile(
    r"a|abbr|acronym|b|bdi|bdo|big|br|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark"
    r"|nobr|q|ruby|rb|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)
_MAX_CELL_CHARACTERS = 400
"""A table with longer cells arranges the page rather than data."""
_MAX_SPAN = 50

_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_WIDE_BREAK = re.compile(rf"(?<=[{_WIDE}])[ \t]*\n\s*(?=[{_WIDE}])")
_SPACE = re.compile(r"[ \t\r\f\v\n]+")
_BREAK = "\x00"


def html_markdown(element: etree._Element) -> str:
    """The text of an element and what it holds."""
    try:
        return "\n\n".join(_blocks(element))
    except RecursionError:  # thousands of tags that nobody closed: the words without their shape
        lines = (" ".join(text.split()) for text in element.itertext() if isinstance(text, str))
        return no_headings("\n".join(filter(None, lines)))


def tag(element: etree._Element) -> str:
    """The local name in lower case; empty for comments and processing instructions."""
    name = element.tag
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""


def inline_text(element: etree._Element) -> str:
    """The words of an element on one line, or on several where it breaks them."""
    return _tidy("".join(_words(element)))


def _tidy(raw: str) -> str:
    """White space as browsers show it, except that a line break inside Chinese is none."""
    text = _SPACE.sub(" ", _WIDE_BREAK.sub("", raw.replace("\u200b", "")))
    return "\n".join(line.strip() for line in text.split(_BREAK)).strip()


def _words(element: etree._Element) -> Iterator[str]:
    if element.text:
        yield element.text
    for child in element:
        name = tag(child)
        if name == "br":
            yield _BREAK
        elif name and not _SKIP.fullmatch(name):
            separates = not _INLINE.fullmatch(name)
            yield from (" ",) if separates else ()
            yield from _words(child)
            yield from (" ",) if separates else ()
        if child.tail:
            yield child.tail


def _blocks(element: etree._Element, with_lists: bool = True) -> Iterator[str]:
    """Block after block; loose text between blocks is a paragraph of its own."""
    loose = [element.text or ""]
    for child in element:
        name = tag(child)
        if _SKIP.fullmatch(name) or not name:
            loose.append(child.tail or "")
            continue
        if name == "br" or (name in ("ul", "ol") and not with_lists):
            loose.append(_BREAK)
        elif _INLINE.fullmatch(name) and not _holds_block(child):
            loose.extend(_words(child))
        else:
            yield from _paragraph(loose)
            loose = []
            yield from _block(child, name)
        loose.append(child.tail or "")
    yield from _paragraph(loose)


def _holds_block(element: etree._Element) -> bool:
    names = (tag(item) for item in element.iterdescendants())
    return any(name and not _INLINE.fullmatch(name) and not _SKIP.fullmatch(name) for name in names)


def _paragraph(pieces: list[str]) -> Iterator[str]:
    if text := _tidy("".join(pieces)):
        yield no_headings(text)


def _block(element: etree._Element, name: str) -> Iterator[str]:
    if name in _HEADINGS:
        if text := inline_text(element).replace("\n", " "):
            yield f"{'#' * _HEADINGS[name]} {text}"
    elif name in ("ul", "ol", "menu"):
        if text := "\n".join(_items(element, 0)):
            yield text
    elif name == "dl":
        yield from _definitions(element)
    elif name == "table":
        yield from _table(element)
    elif name == "pre":
        if text := "".join(element.itertext()).strip("\n"):
            yield "\n".join(f"    {line}".rstrip() for line in text.expandtabs(4).splitlines())
    elif name == "p":
        yield from _blocks(element) if _holds_block(element) else _paragraph([*_words(element)])
    else:
        yield from _blocks(element)


def _items(element: etree._Element, depth: int) -> Iterator[str]:
    number = 0
    for child in element:
        if tag(child) in ("ul", "ol"):
            yield from _items(child, depth + 1)
        if tag(child) != "li":
            continue
        number += 1
        marker = f"{number}." if tag(element) == "ol" else "-"
        own, nested = _item(child)
        if own:
            indent = "  " * depth
            yield f"{indent}{marker} " + own.replace("\n", f"\n{indent}  ")
        for item in nested:
            yield from _items(item, depth + 1)


def _item(element: etree._Element) -> tuple[str, list[etree._Element]]:
    """An item's own text, and the lists in it."""
    nested = [child for child in element if tag(child) in ("ul", "ol")]
    return "\n".join(_blocks(element, with_lists=False)), nested


def _definitions(element: etree._Element) -> Iterator[str]:
    """A term and what it means stay together."""
    entry: list[str] = []
    has_meaning = False
    for child in _terms_and_meanings(element):
        if tag(child) == "dt" and has_meaning:
            yield "\n".join(filter(None, entry))
            entry = []
        has_meaning = tag(child) == "dd"
        entry.append("\n".join(_blocks(child)) if has_meaning else inline_text(child))
    if text := "\n".join(filter(None, entry)):
        yield text


def _terms_and_meanings(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if tag(child) in ("dt", "dd"):
            yield child
        elif tag(child) == "div":
            yield from _terms_and_meanings(child)


def _table(element: etree._Element) -> Iterator[str]:
    cells = [[c for c in row if tag(c) in ("td", "th")] for row in _rows(element)]
    if _arranges(element, cells):
        for row in cells:
            for cell in row:
                yield from _blocks(cell)
        return
    for caption in (item for item in element if tag(item) == "caption"):
        yield from _paragraph([inline_text(caption)])
    if text := markdown_table(_grid(cells)):
        yield text


def _rows(element: etree._Element) -> Iterator[etree._Element]:
    """A table's own rows, not those of tables in its cells."""
    for child in element:
        if tag(child) in ("thead", "tbody", "tfoot"):
            yield from _rows(child)
        elif tag(child) == "tr":
            yield child


def _arranges(element: etree._Element, rows: list[list[etree._Element]]) -> bool:
    """A table that only places things: nested tables, one column, or cells of many words."""
    if any(tag(item) == "table" for item in element.iterdescendants()):
        return True
    if max((len(row) for row in rows), default=0) < 2:
        return True
    return any(len(inline_text(cell)) > _MAX_CELL_CHARACTERS for row in rows for cell in row)


def _grid(rows: list[list[etree._Element]]) -> list[list[str]]:
    """Cells in their columns; one that spans rows is repeated, so that a row stands alone."""
    grid: list[list[str]] = []
    open_cells: dict[int, tuple[int, str]] = {}
    for row in rows:
        line: list[str] = []
        pending = list(row)
        while pending or len(line) in open_cells:
            column = len(line)
            if column in open_cells:
                left, text = open_cells.pop(column)
                if left > 1:
                    open_cells[column] = (left - 1, text)
                line.append(text)
                continue
            cell = pending.pop(0)
            text = inline_text(cell)
            if (height := _span(cell, "rowspan")) > 1:
                open_cells[column] = (height - 1, text)
            line.extend([text, *[""] * (_span(cell, "colspan") - 1)])
        grid.append(line)
    return grid


def _span(cell: etree._Element, name: str) -> int:
    value = cell.get(name) or "1"
    return min(int(value), _MAX_SPAN) if value.isdecimal() and int(value[:6]) > 0 else 1
