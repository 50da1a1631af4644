"""PDF to text: paragraphs, headings, tables; without running headers, footers, page numbers.

Headings come from the outline where there is one, otherwise from the size of the letters. A
document of which some pages are pictures gives the text of the rest; one that is only pictures
needs OCR, which is not done here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from flywheel.collect.formats.content import Content, no_headings
from flywheel.collect.formats.pdf_page import HYPHEN, Line, Page, read_page
from flywheel.collect.formats.table import markdown_table
from flywheel.errors import ExtractError

if TYPE_CHECKING:
    import pypdfium2

_MARGIN = 0.09
"""The share of a page's height, above and below, where running headers and footers stand."""
_MIN_REPEATS = 4
_HEADING_RATIO = 1.12
_MAX_HEADING_CHARACTERS = 100

_PAGE_NUMBER = re.compile(
    r"(page|p\.)?\s*[-–—·|]?\s*(\d{1,4}|[ivxlc]{1,6})(\s*(of|/|／)\s*\d{1,4})?\s*[-–—·|]?"
    r"|第\s*\d+\s*页.{0,10}|\d+\s*页",
    re.I,
)
_LEADER = re.compile(r"(\.\s?|…|·\s?){4,}\s*([0-9]{1,4}|[ivxlc]{1,6})$")
_ITEM = re.compile(
    r"([•·▪■●◦*–]|[-])\s|\(?[0-9]{1,3}[.)、]\s?(?!\d)|\(?[a-z][.)]\s|[（(][一二三四五六七八九十\d]{1,3}[）)]"
    r"|[一二三四五六七八九十]{1,3}、|第[一二三四五六七八九十百零\d]{1,6}[条章节编款]"
)
_SENTENCE_END = tuple(".!?:;。！？：；…”」』")


def extract_pdf(data: bytes) -> Content:
    """The text of a PDF, shaped like Markdown.

    Raises:
        ExtractError: encrypted, corrupt, empty, or only pictures.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        is_locked = getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD
        raise ExtractError("encrypted" if is_locked else "corrupt PDF") from error
    try:
        return _extract(document)
    finally:
        document.close()


def _extract(document: pypdfium2.PdfDocument) -> Content:
    pages = [_page(document, index) for index in range(len(document))]
    if not any(page.lines for page in pages):
        has_pictures = any(page.is_picture for page in pages)
        raise ExtractError("needs OCR" if has_pictures else "empty")
    layout = _layout(pages, _outline(document))
    text = "\n\n".join(_blocks(pages, layout))
    metadata = document.get_metadata_dict()
    return Content(title=metadata.get("Title", ""), text=_dehyphenated(text))


def _page(document: pypdfium2.PdfDocument, index: int) -> Page:
    """A page that pdfium cannot load counts as empty, so that one bad page costs one page."""
    import pypdfium2

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return Page(width=1, height=1, lines=())
    try:
        return read_page(page)
    finally:
        page.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """What holds for the whole document."""

    body_size: float
    leading: float
    """The usual distance of two baselines, in sizes."""
    heading_sizes: tuple[float, ...]
    """From the largest."""
    has_bold_headings: bool
    outline: dict[int, list[tuple[int, str]]]
    """By page: level from 1, and title in the form of `_key`."""
    repeated: frozenset[tuple[str, int]]
    header_places: frozenset[int]
    """Heights at which most pages have a line apart from the rest: chapter and section names."""


def _outline(document: pypdfium2.PdfDocument) -> dict[int, list[tuple[int, str]]]:
    import pypdfium2

    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for entry in document.get_toc(max_depth=6):
            target = entry.get_dest()
            page = target.get_index() if target is not None else None
            if page is not None and (key := _key(entry.get_title())):
                found.setdefault(page, []).append((entry.level + 1, key))
    except (pypdfium2.PdfiumError, ValueError):
        return found
    return found


def _key(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _layout(pages: list[Page], outline: dict[int, list[tuple[int, str]]]) -> _Layout:
    sizes: Counter[float] = Counter()
    bold = 0
    leadings: list[float] = []
    for page in pages:
        for line in page.lines:
            sizes[_rounded(line.size)] += len(line.text)
            bold += len(line.text) if line.is_bold else 0
        leadings.extend(_leadings(page))
    body = sizes.most_common(1)[0][0]
    large = sorted({size for size in sizes if size > body * _HEADING_RATIO}, reverse=True)
    return _Layout(
        body_size=body,
        leading=median(leadings) if leadings else 1.2,
        heading_sizes=tuple(large[:6]),
        has_bold_headings=bold < 0.2 * sizes.total(),
        outline=outline,
        repeated=_repeated(pages),
        header_places=_header_places(pages),
    )


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _leadings(page: Page) -> Iterator[float]:
    for above, below in pairwise(page.lines):
        ratio = (above.baseline - below.baseline) / below.size
        if 0.9 < ratio < 3 and abs(above.size - below.size) < 0.5 and len(below.cells) == 1:
            yield ratio


def _repeated(pages: list[Page]) -> frozenset[tuple[str, int]]:
    """The margin lines that come back on page after page; page numbers in them count as equal."""
    counts: Counter[tuple[str, int]] = Counter()
    for page in pages:
        counts.update({_place(line) for line in page.lines if _is_in_margin(line, page)})
    return frozenset(place for place, count in counts.items() if count >= _MIN_REPEATS)


def _header_places(pages: list[Page]) -> frozenset[int]:
    counts: Counter[int] = Counter()
    for page in pages:
        for line, neighbour in ((0, 1), (-1, -2)):
            if len(page.lines) > 2:
                outer, inner = page.lines[line], page.lines[neighbour]
                is_apart = abs(outer.baseline - inner.baseline) > 1.8 * inner.size
                if is_apart and _is_in_margin(outer, page):
                    counts[_place(outer)[1]] += 1
    return frozenset(p for p, n in counts.items() if n >= max(_MIN_REPEATS, 0.5 * len(pages)))


def _place(line: Line) -> tuple[str, int]:
    return re.sub(r"\d+", "#", line.text.casefold()), round(line.baseline / 6)


def _is_contents_entry(line: Line) -> bool:
    return bool(_LEADER.search(line.text))


def _is_in_margin(line: Line, page: Page) -> bool:
    low, high = page.height * _MARGIN, page.height * (1 - _MARGIN)
    return not low <= line.baseline <= high


def _kept(page: Page, layout: _Layout, seen: set[tuple[str, int]]) -> list[Line]:
    """Without page numbers, and with a running header only where it comes first."""
    kept = []
    if len(page.lines) >= 8 and sum(map(_is_contents_entry, page.lines)) > 0.5 * len(page.lines):
        return []  # a table of contents says every heading twice
    for line in page.lines:
        if _is_in_margin(line, page):
            place = _place(line)
            if _PAGE_NUMBER.fullmatch(line.text.strip()) or place[1] in layout.header_places:
                continue
            if place in layout.repeated:
                if place in seen or not any(c.isalpha() for c in line.text):
                    continue
                seen.add(place)
        kept.append(line)
    return kept


def _blocks(pages: list[Page], layout: _Layout) -> Iterator[str]:
    """Headings, tables and paragraphs in order; a paragraph may go on over a page's end."""
    seen: set[tuple[str, int]] = set()
    open_lines: list[Line] = []
    open_text = ""
    for index, page in enumerate(pages):
        for group in _groups(_kept(page, layout, seen), layout):
            level = _level(group, index, layout)
            text = _render(group, level, layout)
            is_plain = level == 0 and not text.startswith("|")
            if open_text and is_plain and _goes_on(open_lines[-1], group[0]):
                open_text = _glue(open_text, text)
            else:
                if open_text:
                    yield open_text
                open_text = text
            open_lines = group
            if not is_plain:
                yield open_text
                open_text = ""
    if open_text:
        yield open_text


def _goes_on(last: Line, first: Line) -> bool:
    """Whether a page's first line continues the sentence that the page before left open."""
    if first.baseline <= last.baseline or abs(first.size - last.size) > 0.5:
        return False
    if last.text.endswith(_SENTENCE_END) or not _is_full(last):
        return False
    return first.text[:1].islower() or (_is_wide(first.text[:1]) and not _ITEM.match(first.text))


def _groups(lines: list[Line], layout: _Layout) -> Iterator[list[Line]]:
    """Lines that stand together: a paragraph, a list, a table, a heading."""
    group: list[Line] = []
    for line in lines:
        if group and _is_apart(group[-1], line, layout):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _is_apart(above: Line, below: Line, layout: _Layout) -> bool:
    distance = above.baseline - below.baseline
    size = max(above.size, below.size)
    if abs(above.size - below.size) > 0.1 * size or above.is_bold != below.is_bold:
        is_row = len(above.cells) > 1 and len(below.cells) > 1
        return not is_row or distance > 3 * size
    limit = 1.3 * layout.leading * size
    if len(above.cells) > 1 and len(below.cells) > 1:
        limit *= 1.5
    elif len(above.cells) > 1 or len(below.cells) > 1:
        return not 0 < distance <= limit or len(above.text) > 60 or len(below.text) > 60
    elif below.text[:1].islower() and not above.text.endswith(_SENTENCE_END):
        limit = max(limit, 2.6 * size)  # a sentence set with double spacing
    return not -0.1 < distance <= limit


def _level(group: list[Line], page: int, layout: _Layout) -> int:
    """0 for a text that is no heading."""
    text = " ".join(line.text for line in group)
    if len(group) > 3 or not any(c.isalpha() for c in text):
        return 0
    if layout.outline:
        key = _key(text)
        for level, title in layout.outline.get(page, ()):
            if key.endswith(title) and len(key) - len(title) <= 12:
                return min(level, 6)
        return 0
    is_split = any(len(line.cells) > 1 for line in group)
    is_list = any(not _continues(a, b) for a, b in pairwise(group))
    if is_split or is_list or len(text) > _MAX_HEADING_CHARACTERS:
        return 0
    size = _rounded(group[0].size)
    if size in layout.heading_sizes:
        return layout.heading_sizes.index(size) + 1
    is_bold = layout.has_bold_headings and group[0].is_bold and len(group) == 1
    if (
        is_bold
        and size >= layout.body_size
        and not text.endswith((".", "。", ",", "，", ";", "；"))
    ):
        return min(len(layout.heading_sizes) + 1, 6)
    return 0


def _render(group: list[Line], level: int, layout: _Layout) -> str:
    if level:
        return f"{'#' * level} {' '.join(line.text for line in group)}"
    if sum(len(line.cells) > 1 for line in group) >= 2:
        return markdown_table(_table(group))
    text = group[0].text
    for above, below in pairwise(group):
        text = _glue(text, below.text) if _continues(above, below) else f"{text}\n{below.text}"
    return no_headings(text)


def _table(group: list[Line]) -> list[list[str]]:
    """Each cell goes to the column whose horizontal extent it shares."""
    spans: list[tuple[float, float]] = []
    for left, right in sorted((c.left, c.right) for line in group for c in line.cells):
        if spans and left <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    if len(spans) < 2:
        return [[cell.text for cell in line.cells] for line in group]
    rows = []
    for line in group:
        row = [""] * len(spans)
        for cell in line.cells:
            column = next(i for i, (a, b) in enumerate(spans) if a <= cell.left <= b)
            row[column] = f"{row[column]} {cell.text}".strip()
        rows.append(row)
    return rows


def _continues(above: Line, below: Line) -> bool:
    """Whether two lines that stand together are one paragraph."""
    if above.text.endswith(HYPHEN):
        return True
    if _ITEM.match(below.text):
        return False
    if above.left - below.left > 10 * below.size:
        return False  # one is set to the right
    if below.left - above.left > 1.2 * below.size and not _ITEM.match(above.text):
        return False  # a first line's indent
    if _is_full(above):
        return True
    return below.text[:1].islower() and not above.text.endswith(_SENTENCE_END)


def _is_full(line: Line) -> bool:
    """Whether the line reaches its column's right edge, up to the length of a usual word."""
    if line.text.endswith(HYPHEN):
        return True
    return line.right >= line.limit - 0.12 * (line.limit - line.left)


def _glue(first: str, second: str) -> str:
    """Chinese and Japanese lines join without a space, also beside their quotation marks."""
    widths = [_width(text) for text in (first[-1:], second[:1])]
    is_chinese = "W" in widths and all(width in "WA" for width in widths)
    if first.endswith(HYPHEN) or is_chinese:
        return first + second
    return f"{first} {second}"


def _is_wide(character: str) -> bool:
    return _width(character) == "W"


def _width(character: str) -> str:
    """`W` for Chinese and Japanese, `A` for what both scripts use, such as “ ”; else `N`."""
    width = unicodedata.east_asian_width(character) if character else "N"
    return {"W": "W", "F": "W", "A": "A"}.get(width, "N")


def _dehyphenated(text: str) -> str:
    """Drops a hyphen at a line's end, unless the document writes the word with it elsewhere."""
    words = Counter(re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)*", text.replace(HYPHEN, "\n")))

    def join(match: re.Match[str]) -> str:
        first, second = match.groups()
        keeps = words[f"{first}-{second}"] > words[f"{first}{second}"]
        return f"{first}-{second}" if keeps or not second else f"{first}{second}"

    text = re.sub(rf"([A-Za-z]*){HYPHEN}\s*([A-Za-z]*)", join, text)
    return text.replace(HYPHEN, "-")
