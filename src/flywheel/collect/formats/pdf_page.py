"""One PDF page as lines in reading order, with the geometry that paragraphs are told from.

pdfium gives characters in the order of the content stream, which for forms and tables is not
the order of reading. Here its lines are cut at wide gaps into segments, and those are put into
rows from the top, or into columns where the page has two of prose. About 1.5 ms a page: the box
of a character is asked for only beside spaces and at the ends of lines.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pypdfium2

HYPHEN = "\ufffe"
"""What pdfium writes for a hyphen at a line's end; it replaces the line break as well."""

_LINE = re.compile(r"[^\r\n\x02\ufffe]+([\x02\ufffe])?")
_GAP = re.compile(r"[ \u00a0]+")
_WIDE_GAP_EM = 1.2
"""Justified text stretches spaces to 0.8 em at most; table columns stand further apart."""
_MIN_PROSE_CHARACTERS = 25
_MIN_COLUMN_LINES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Text without a wide gap inside; points, the origin at the page's lower left."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    is_bold: bool
    is_rotated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Segments on one baseline, from the left. `limit` is its column's right edge."""

    cells: tuple[Segment, ...]
    limit: float

    @property
    def text(self) -> str:
        return " ".join(cell.text for cell in self.cells)

    @property
    def left(self) -> float:
        return self.cells[0].left

    @property
    def right(self) -> float:
        return self.cells[-1].right

    @property
    def baseline(self) -> float:
        return self.cells[0].baseline

    @property
    def size(self) -> float:
        return max(cell.size for cell in self.cells)

    @property
    def is_bold(self) -> bool:
        return all(cell.is_bold for cell in self.cells)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page's lines in reading order."""

    width: float
    height: float
    lines: tuple[Line, ...]
    is_picture: bool = False


def read_page(page: pypdfium2.PdfPage) -> Page:
    """The lines of a page; none where it is empty or only a picture."""
    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        segments = _Characters(textpage).segments()
    finally:
        textpage.close()
    num_characters = sum(len(segment.text) for segment in segments)
    if num_characters < 50 and _is_picture(page, width * height, num_characters):
        return Page(width=width, height=height, lines=(), is_picture=True)
    if _is_unreadable(segments):
        return Page(width=width, height=height, lines=(), is_picture=True)
    return Page(width=width, height=height, lines=tuple(_order(segments, width)))


def _is_unreadable(segments: list[Segment]) -> bool:
    """Glyphs without a meaning: the font's table is missing, so that only OCR could read it."""
    text = "".join(segment.text for segment in segments)
    strange = sum(c == "\ufffd" or "\ue000" <= c <= "\uf8ff" or c < " " for c in text)
    return strange > 0.3 * max(len(text), 1)


def _is_picture(page: pypdfium2.PdfPage, area: float, num_characters: int) -> bool:
    """Drawn, not written: no text on it at all, or an image over most of it."""
    for item in page.get_objects(max_depth=3):
        if num_characters == 0:
            return True
        if item.type == 3:  # FPDF_PAGEOBJ_IMAGE
            left, bottom, right, top = item.get_bounds()
            if abs((right - left) * (top - bottom)) > 0.6 * area:
                return True
    return False


class _Characters:
    """The characters of a text page, asked for one by one through pdfium's C functions."""

    def __init__(self, textpage: pypdfium2.PdfTextPage) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium, self._raw = pdfium, textpage.raw
        self._numbers = tuple(ctypes.c_double() for _ in range(4))
        self._matrix = pdfium.FS_MATRIX()
        count = textpage.count_chars()
        text = textpage.get_text_range() if count else ""
        if len(text) != count:  # pdfium left some out: the indexes would not fit
            text = "".join(chr(pdfium.FPDFText_GetUnicode(self._raw, i)) for i in range(count))
        self._text = text

    def segments(self) -> list[Segment]:
        found: list[Segment] = []
        for match in _LINE.finditer(self._text):
            end = match.end() - (1 if match.group(1) else 0)
            segments = self._line(match.start(), end)
            if match.group(1) and segments:
                segments[-1] = _hyphenated(segments[-1])
            found.extend(segments)
        return found

    def _line(self, start: int, end: int) -> list[Segment]:
        text = self._text[start:end]
        start, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
        if start >= end:
            return []
        size, is_rotated = self._size(start)
        cuts = [start]
        for gap in _GAP.finditer(self._text, start, end):
            if self._box(gap.end())[0] - self._box(gap.start() - 1)[1] > _WIDE_GAP_EM * size:
                cuts.append(gap.end())
        return [self._segment(a, b, is_rotated) for a, b in pairwise([*cuts, end])]

    def _segment(self, start: int, end: int, is_rotated: bool) -> Segment:
        text = self._text[start:end].rstrip()
        last = start + len(text) - 1
        weight = self._pdfium.FPDFText_GetFontWeight
        return Segment(
            text=text.replace("\u00a0", " "),
            left=self._box(start)[0],
            right=self._box(last)[1],
            baseline=self._baseline(start),
            size=self._size(start)[0],
            is_bold=weight(self._raw, start) >= 600 and weight(self._raw, last) >= 600,
            is_rotated=is_rotated,
        )

    def _box(self, index: int) -> tuple[float, float]:
        """Left and right of a character."""
        left, right, bottom, top = self._numbers
        self._pdfium.FPDFText_GetCharBox(self._raw, index, left, right, bottom, top)
        return left.value, right.value

    def _baseline(self, index: int) -> float:
        x, y = self._numbers[:2]
        self._pdfium.FPDFText_GetCharOrigin(self._raw, index, x, y)
        return y.value

    def _size(self, index: int) -> tuple[float, bool]:
        """The size in points as drawn, and whether the text does not run from left to right."""
        matrix = self._matrix
        size = self._pdfium.FPDFText_GetFontSize(self._raw, index)
        if not self._pdfium.FPDFText_GetMatrix(self._raw, index, matrix):
            return max(size, 1.0), False
        scale = (matrix.c**2 + matrix.d**2) ** 0.5
        return max(size * scale, 1.0), abs(matrix.b) > abs(matrix.a)


def _hyphenated(segment: Segment) -> Segment:
    return Segment(
        text=segment.text + HYPHEN,
        left=segment.left,
        right=segment.right,
        baseline=segment.baseline,
        size=segment.size,
        is_bold=segment.is_bold,
        is_rotated=segment.is_rotated,
    )


def _order(segments: list[Segment], width: float) -> list[Line]:
    if not segments:
        return []
    if sum(segment.is_rotated for segment in segments) > len(segments) / 2:
        return [Line(cells=(segment,), limit=segment.right) for segment in segments]
    gutter = _gutter(segments, width)
    return _rows(segments) if gutter is None else _columns(segments, gutter)


def _rows(segments: Iterable[Segment]) -> list[Line]:
    """From the top; what stands on one baseline is one line."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: -s.baseline):
        if rows and rows[-1][0].baseline - segment.baseline <= 0.35 * segment.size:
            rows[-1].append(segment)
        else:
            rows.append([segment])
    limit = max((row.right for line in rows for row in line), default=0.0)
    return [Line(cells=_merged(sorted(row, key=lambda s: s.left)), limit=limit) for row in rows]


def _merged(row: list[Segment]) -> tuple[Segment, ...]:
    """Joins what pdfium cut although no wide gap is between: superscripts, changes of font."""
    merged: list[Segment] = []
    for segment in row:
        last = merged[-1] if merged else None
        gap = segment.left - last.right if last else 0.0
        is_marker = last is not None and len(merged) == 1 and bool(_MARKER.fullmatch(last.text))
        if last is None or (gap > _WIDE_GAP_EM * segment.size and not is_marker):
            merged.append(segment)
        else:
            merged[-1] = _joined(last, segment, "" if gap < 0.15 * segment.size else " ")
    return tuple(merged)


_MARKER = re.compile(
    r"[•·▪■●◦*–-]|\(?[0-9A-Za-z]{1,3}[.)]|[0-9]+(\.[0-9]+)*\.?|[（(]?[一二三四五六七八九十]{1,3}[）)、.]"
)
"""The number or bullet before an item or a heading, which is set apart but is no table cell."""


def _joined(first: Segment, second: Segment, space: str) -> Segment:
    return Segment(
        text=f"{first.text}{space}{second.text}",
        left=first.left,
        right=max(first.right, second.right),
        baseline=first.baseline,
        size=max(first.size, second.size),
        is_bold=first.is_bold and second.is_bold,
    )


def _gutter(segments: list[Segment], width: float) -> float | None:
    """Where two columns of prose meet, or None. Short texts side by side are a table or a form."""
    prose = [s for s in segments if len(s.text) >= _MIN_PROSE_CHARACTERS]
    lefts = sorted(s.left for s in prose if 0.4 * width < s.left < 0.65 * width)
    if len(lefts) < _MIN_COLUMN_LINES:
        return None
    gutter = lefts[len(lefts) // 10] - 2
    right = sum(s.left >= gutter for s in prose)
    left = sum(s.right <= gutter for s in prose)
    crossing = len(prose) - left - right
    is_columns = min(left, right) >= _MIN_COLUMN_LINES and crossing <= 0.5 * (left + right)
    return gutter if is_columns else None


def _columns(segments: list[Segment], gutter: float) -> list[Line]:
    """Left column, then right; what crosses the gutter (a title, a wide table) cuts them."""
    lines: list[Line] = []
    left: list[Segment] = []
    right: list[Segment] = []
    for segment in sorted(segments, key=lambda s: -s.baseline):
        if segment.left < gutter < segment.right:
            lines += [*_rows(left), *_rows(right), Line(cells=(segment,), limit=segment.right)]
            left, right = [], []
        else:
            (left if segment.right <= gutter else right).append(segment)
    return [*lines, *_rows(left), *_rows(right)]
