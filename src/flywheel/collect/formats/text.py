"""Files that are text already: Markdown, plain text, tables, JSON, notebooks, feeds, XML."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import islice

from lxml import etree

from flywheel.collect.formats.content import Content, no_headings
from flywheel.collect.formats.decode import decode
from flywheel.collect.formats.html import parse_html
from flywheel.collect.formats.html_markdown import html_markdown, tag
from flywheel.collect.formats.table import markdown_table
from flywheel.errors import ExtractError

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.S)
_ENTRY = re.compile(r"^(title|date|updated|lastmod|version_date)\s*[:=]\s*(.+?)\s*$", re.M | re.I)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.S)
_FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]*[ \t]*$", re.S | re.M)
_UNDERLINED = re.compile(r"^(?![ \t#>|*+-])([^\n]{1,200})\n(={3,}|-{3,})[ \t]*$", re.M)
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")
_DELIMITERS = ",\t;|"


def extract_markdown(data: bytes) -> Content:
    """Markdown as it is, less its front matter and comments; underlined headings get their `#`."""
    text = _lines(decode(data))
    matter = _FRONT_MATTER.match(text)
    entries = {
        k.lower(): v.strip("\"'") for k, v in _ENTRY.findall(matter.group(2) if matter else "")
    }
    text = text[matter.end() :] if matter else text
    if "<!--" in text:
        text = _COMMENT.sub("", text)
    if "```" in text or "~~~" in text:
        text = _FENCE.sub(lambda match: no_headings(match.group()), text)
    if "===" in text or "---" in text:
        text = _UNDERLINED.sub(_with_hashes, text)
    dates = (
        entries[key] for key in ("updated", "lastmod", "version_date", "date") if key in entries
    )
    date = next((m.group() for value in dates if (m := _DATE.match(value))), "")
    return Content(text=text, title=entries.get("title", ""), date=date)


def _with_hashes(match: re.Match[str]) -> str:
    """Only an underline of about the title's width: a longer one is a rule across the page."""
    title, line = match.groups()
    width = sum(2 if character >= "\u2e80" else 1 for character in title)
    if len(line) > width + 4:
        return match.group()
    return f"{'#' if match.group(2)[0] == '=' else '##'} {match.group(1)}"


def extract_plain(data: bytes) -> Content:
    """Plain text; a short first line with nothing below it is the title."""
    text = _lines(decode(data)).replace("\f", "\n\n").strip("\n")
    first, _, rest = text.partition("\n")
    is_title = 0 < len(first.strip()) <= 60 and (not rest or not rest.partition("\n")[0].strip())
    is_title = is_title and not first.rstrip().endswith(
        (".", "。", ",", "，", ";", "；", ":", "：")
    )
    return Content(text=text, title=first.strip().lstrip("# ") if is_title else "")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def extract_csv(data: bytes) -> Content:
    """A table; the delimiter is the one that gives the most rows of one width."""
    text = _lines(decode(data))
    delimiter = max(_DELIMITERS, key=lambda d: _regularity(text, d))
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return extract_plain(data)
    return Content(text=markdown_table(rows))


def _regularity(text: str, delimiter: str) -> tuple[float, int]:
    """The share of rows that are as wide as the first one, and that width; 0 for one column."""
    try:
        rows = list(islice(csv.reader(io.StringIO(text[:65536]), delimiter=delimiter), 50))
    except csv.Error:
        return 0.0, 0
    rows = [row for row in rows if row]
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])


def extract_json(data: bytes) -> Content:
    """`key: value` lines, a blank line after each record of a list."""
    try:
        value = json.loads(decode(data))
    except (ValueError, RecursionError) as error:
        raise ExtractError("corrupt JSON") from error
    return Content(text=_records(value))


def extract_jsonl(data: bytes) -> Content:
    """As JSON, a record a line; a line that is not JSON stays as it is."""
    blocks = []
    for line in decode(data).splitlines():
        try:
            blocks.append(_records(json.loads(line)) if line.strip() else "")
        except (ValueError, RecursionError):
            blocks.append(no_headings(line.strip()))
    return Content(text="\n\n".join(filter(None, blocks)))


def _records(value: object) -> str:
    records = value if isinstance(value, list) else [value]
    return "\n\n".join("\n".join(_pairs(record, "")) for record in records)


def _pairs(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _pairs(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for item in value:
            yield from _pairs(item, name)
    elif value is not None and value != "":
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield no_headings(f"{name}: {shown}" if name else shown)


def extract_notebook(data: bytes) -> Content:
    """A Jupyter notebook's texts and code, in order and without what the code printed."""
    try:
        notebook = json.loads(decode(data))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        blocks = [_cell(cell) for cell in cells]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ExtractError("corrupt notebook") from error
    return Content(text="\n\n".join(filter(None, blocks)))


def _cell(cell: dict[str, object]) -> str:
    source = cell.get("source", cell.get("input", ""))
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if cell.get("cell_type") == "code":
        return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").splitlines())
    return extract_markdown(text.encode()).text.strip()


def extract_xml(data: bytes) -> Content:
    """A feed's entries under their titles; of other XML the text, an element a line."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, recover=True, encoding="utf-8"
    )  # the declared encoding is overruled, since the text is decoded already
    try:
        root = etree.fromstring(decode(data).encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ExtractError("corrupt XML") from error
    if root is None:
        raise ExtractError("corrupt XML")
    if tag(root) in ("rss", "feed", "rdf"):
        return _feed(root)
    lines = (" ".join((item.text or "").split()) for item in root.iter() if tag(item))
    return Content(text=no_headings("\n".join(filter(None, lines))))


def _feed(root: etree._Element) -> Content:
    entries = [item for item in root.iter() if tag(item) in ("item", "entry")]
    heads = [root, *(item for item in root if tag(item) == "channel")]
    own = {tag(item): item.text or "" for head in heads for item in head}
    title = " ".join(own.get("title", "").split())
    blocks = [f"# {title}"] if title else []
    for entry in entries:
        blocks += _entry(entry)
    date = _day(own.get("lastbuilddate") or own.get("updated") or own.get("pubdate") or "")
    return Content(text="\n\n".join(blocks), title=title, date=date)


def _entry(entry: etree._Element) -> Iterator[str]:
    parts: dict[str, str] = {}
    for item in entry:
        parts.setdefault(tag(item), "".join(item.itertext()).strip())
    if title := parts.get("title"):
        yield f"## {' '.join(title.split())}"
    if day := _day(parts.get("pubdate") or parts.get("updated") or ""):
        yield day
    body = parts.get("encoded") or parts.get("content") or parts.get("description", "")
    if body := body or parts.get("summary", ""):
        yield html_markdown(parse_html(body))


def _day(value: str) -> str:
    if match := _DATE.match(value.strip()):
        return match.group()
    try:
        return parsedate_to_datetime(value).date().isoformat()
    except (ValueError, TypeError):
        return ""
