"""Word documents as Markdown: headings by their style or outline level, numbering, tables.

The automatic numbers of headings and lists are written out, because a reader cites "Article 3"
by the number that Word shows. Deleted revisions are left out, inserted ones are kept; comments,
headers and footers are not read. Of an equation the symbols are kept on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from flywheel.collect.formats.content import Content, no_headings
from flywheel.collect.formats.package import Package
from flywheel.collect.formats.table import markdown_table
from flywheel.errors import ExtractError

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"

_HIDDEN = frozenset(
    f"{_W}{name}" for name in ("del", "moveFrom", "rPr", "pPr", "instrText", "delText", "fldData")
)
_CHINESE_DIGITS = "零一二三四五六七八九"


def extract_docx(data: bytes) -> Content:
    """The text of a Word document.

    Raises:
        ExtractError: corrupt.
    """
    with Package(data, "DOCX") as package:
        main = next(
            (part for kind, part in package.relations("").values() if kind == "officeDocument"),
            "word/document.xml",
        )
        body = next((item for item in package.xml(main) if item.tag == f"{_W}body"), None)
        if body is None:
            raise ExtractError("corrupt DOCX")
        parts = dict(package.relations(main).values())
        styles = _styles(package, parts.get("styles", ""))
        numbering = _numbering(package, parts.get("numbering", ""))
        text = "\n\n".join(_joined_items(_blocks(body, styles, numbering)))
        notes = _notes(package, parts, styles)
        return Content(title=package.title(), text="\n\n".join(filter(None, [text, notes])))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    name: str
    base: str
    level: int | None
    """The outline level from 0, where the style sets one."""
    number: tuple[str, int] | None
    """The numbering's id and its level."""


def _styles(package: Package, part: str) -> dict[str, _Style]:
    if part not in package.names:
        return {}
    found = {}
    for item in package.xml(part).iter(f"{_W}style"):
        properties = item.find(f"{_W}pPr")
        found[item.get(f"{_W}styleId", "")] = _Style(
            name=_value(item, "name").lower(),
            base=_value(item, "basedOn"),
            level=_outline_level(properties),
            number=_number(properties),
        )
    return found


def _value(item: etree._Element | None, name: str) -> str:
    found = item.find(f"{_W}{name}") if item is not None else None
    return found.get(f"{_W}val", "") if found is not None else ""


def _outline_level(properties: etree._Element | None) -> int | None:
    value = _value(properties, "outlineLvl")
    return int(value) if value.isdecimal() and int(value) < 9 else None


def _number(properties: etree._Element | None) -> tuple[str, int] | None:
    found = properties.find(f"{_W}numPr") if properties is not None else None
    if found is None:
        return None
    level = _value(found, "ilvl")
    return _value(found, "numId"), int(level) if level.isdecimal() else 0


def _lineage(style: str, styles: dict[str, _Style]) -> Iterator[_Style]:
    seen: set[str] = set()
    while style in styles and style not in seen:
        seen.add(style)
        yield styles[style]
        style = styles[style].base


def _heading_level(properties: etree._Element | None, styles: dict[str, _Style]) -> int:
    """1 to 6, or 0 for a paragraph that is no heading."""
    level = _outline_level(properties)
    for style in _lineage(_value(properties, "pStyle"), styles):
        if style.name == "title":
            return 1
        if match := re.fullmatch(r"heading (\d)", style.name):
            level = int(match.group(1)) - 1 if level is None else level
        elif level is None:
            level = style.level
    return 0 if level is None else min(level + 1, 6)


@dataclass(kw_only=True, slots=True)
class _Numbering:
    """Counts the automatic numbers as Word does while the document is read from its start."""

    levels: dict[str, dict[int, tuple[str, str, int]]] = field(default_factory=dict)
    """By numbering id and level: the format, the text with %1 for a number, the first number."""
    lists: dict[str, str] = field(default_factory=dict)
    """Which numbering ids share their counts."""
    counts: dict[str, dict[int, int]] = field(default_factory=dict)

    def next(self, number: tuple[str, int]) -> str:
        """The label of the next paragraph, such as `2.1` or `第三条`; a bullet is `-`."""
        key, level = number
        levels = self.levels.get(key, {})
        if level not in levels:
            return ""
        form, pattern, start = levels[level]
        if form == "bullet":
            return "-"
        counts = self.counts.setdefault(self.lists.get(key, key), {})
        counts[level] = counts.get(level, start - 1) + 1
        for deeper in [deep for deep in counts if deep > level]:
            del counts[deeper]

        def shown(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            form_at, _, start_at = levels.get(at, (form, "", 1))
            return _formatted(counts.get(at, start_at), form_at)

        return re.sub(r"%(\d)", shown, pattern)


def _numbering(package: Package, part: str) -> _Numbering:
    numbering = _Numbering()
    if part not in package.names:
        return numbering
    root = package.xml(part)
    abstract = {
        item.get(f"{_W}abstractNumId", ""): {
            int(level.get(f"{_W}ilvl", "0")): (
                _value(level, "numFmt"),
                _value(level, "lvlText"),
                int(_value(level, "start") or 1),
            )
            for level in item.iter(f"{_W}lvl")
            if level.get(f"{_W}ilvl", "0").isdecimal()
            and (_value(level, "start") or "1").isdecimal()
        }
        for item in root.iter(f"{_W}abstractNum")
    }
    for item in root.iter(f"{_W}num"):
        key, name = item.get(f"{_W}numId", ""), _value(item, "abstractNumId")
        restarts = item.find(f"{_W}lvlOverride/{_W}startOverride") is not None
        numbering.levels[key] = abstract.get(name, {})
        numbering.lists[key] = key if restarts else f"abstract {name}"
    return numbering


def _formatted(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and 0 < number <= 26:
        letter = chr(96 + number)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman") and 0 < number < 100:
        roman = _roman(number)
        return roman.upper() if form == "upperRoman" else roman
    if form.startswith(("chinese", "japanese", "taiwanese", "ideographDigital")) and number > 0:
        return _chinese(number)
    if form == "decimalZero":
        return f"{number:02d}"
    return "" if form == "none" else str(number)


def _roman(number: int) -> str:
    text = ""
    for value, letters in ((90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v")):
        count, number = divmod(number, value)
        text += letters * count
    return text + ("iv" if number == 4 else "i" * number)


def _chinese(number: int) -> str:
    """Up to 999, as statutes count: 十二, 一百零三."""
    if number > 999:
        return str(number)
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    text = f"{_CHINESE_DIGITS[hundreds]}百" if hundreds else ""
    if tens:
        text += f"{_CHINESE_DIGITS[tens] if tens > 1 or hundreds else ''}十"
    elif hundreds and ones:
        text += "零"
    return text + (_CHINESE_DIGITS[ones] if ones else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    text: str
    is_item: bool = False


def _blocks(
    parent: etree._Element, styles: dict[str, _Style], numbering: _Numbering
) -> Iterator[_Block]:
    for item in parent:
        if item.tag == f"{_W}p":
            yield from _paragraph(item, styles, numbering)
        elif item.tag == f"{_W}tbl":
            rows = [_row(row) for row in item.iter(f"{_W}tr") if _owner(row, "tbl") is item]
            if text := markdown_table(rows):
                yield _Block(text=text)
        elif item.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _blocks(item, styles, numbering)


def _paragraph(
    item: etree._Element, styles: dict[str, _Style], numbering: _Numbering
) -> Iterator[_Block]:
    properties = item.find(f"{_W}pPr")
    if _value(properties, "pStyle").lower().startswith("toc"):
        return  # Word's table of contents repeats every heading
    text = re.sub(r"[ \t]+", " ", "".join(_words(item))).strip()
    if not text:
        return
    level = _heading_level(properties, styles)
    label = _label(properties, styles, numbering)
    if level:
        heading = f"{'' if label == '-' else label} {text}".strip().replace("\n", " ")
        yield _Block(text=f"{'#' * level} {heading}")
    else:
        yield _Block(text=no_headings(f"{label} {text}".strip()), is_item=bool(label))


def _label(
    properties: etree._Element | None, styles: dict[str, _Style], numbering: _Numbering
) -> str:
    number = _number(properties)
    for style in _lineage(_value(properties, "pStyle"), styles):
        number = number or style.number
    return numbering.next(number) if number is not None else ""


def _row(row: etree._Element) -> list[str]:
    cells = []
    for cell in row.iter(f"{_W}tc"):
        if _owner(cell, "tr") is row:
            paragraphs = ("".join(_words(p)).strip() for p in cell.iter(f"{_W}p"))
            cells.append(" ".join(text for text in paragraphs if text))
            span = _value(cell.find(f"{_W}tcPr"), "gridSpan")
            cells.extend([""] * (min(int(span), 60) - 1 if span.isdecimal() else 0))
    return cells


def _owner(item: etree._Element, name: str) -> etree._Element | None:
    parent = item.getparent()
    while parent is not None and parent.tag != f"{_W}{name}":
        parent = parent.getparent()
    return parent


def _words(item: etree._Element) -> Iterator[str]:
    for child in item:
        name = child.tag
        if name in (f"{_W}t", f"{_M}t"):
            yield child.text or ""
        elif name in (f"{_W}tab", f"{_W}ptab"):
            yield " "
        elif name in (f"{_W}br", f"{_W}cr"):
            yield "\n"
        elif name == f"{_W}noBreakHyphen":
            yield "-"
        elif name in (f"{_M}den", f"{_M}sup", f"{_M}sub"):
            yield {"den": "/", "sup": "^", "sub": "_"}[etree.QName(child).localname]
            yield from _words(child)
        elif isinstance(name, str) and name not in _HIDDEN and not name.endswith("}Fallback"):
            yield from _words(child)


def _joined_items(blocks: Iterator[_Block]) -> Iterator[str]:
    """The items of one list stand in lines, other blocks apart."""
    items: list[str] = []
    for block in blocks:
        if block.is_item:
            items.append(block.text)
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield block.text
    if items:
        yield "\n".join(items)


def _notes(package: Package, parts: dict[str, str], styles: dict[str, _Style]) -> str:
    """Footnotes and endnotes, after the text."""
    texts = []
    for kind in ("footnotes", "endnotes"):
        if parts.get(kind) in package.names:
            for note in package.xml(parts[kind]):
                if note.get(f"{_W}type") is None:
                    texts += [block.text for block in _blocks(note, styles, _Numbering())]
    return "\n\n".join(texts)
