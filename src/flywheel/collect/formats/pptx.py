"""Slides as Markdown: a heading a slide, then its texts from the top, tables, charts, notes."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from flywheel.collect.formats.content import Content, no_headings
from flywheel.collect.formats.package import Package
from flywheel.collect.formats.table import markdown_table
from flywheel.errors import ExtractError

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def extract_pptx(data: bytes) -> Content:
    """The text of a presentation.

    Raises:
        ExtractError: corrupt.
    """
    with Package(data, "PPTX") as package:
        main = "ppt/presentation.xml"
        if main not in package.names:
            raise ExtractError("corrupt PPTX")
        relations = package.relations(main)
        ids = [item.get(f"{_R}id", "") for item in package.xml(main).iter(f"{_P}sldId")]
        slides = [relations[key][1] for key in ids if key in relations]
        texts = [_slide(package, part) for part in slides if part in package.names]
        return Content(title=package.title(), text="\n\n".join(filter(None, texts)))


def _slide(package: Package, part: str) -> str:
    relations = package.relations(part)
    tree = package.xml(part).find(f"{_P}cSld/{_P}spTree")
    blocks = list(_shapes(tree, package, relations)) if tree is not None else []
    blocks.sort(key=lambda block: not block.startswith("# "))  # stable: the title leads
    for kind, target in relations.values():
        if kind == "notesSlide" and target in package.names:
            notes = package.xml(target).find(f"{_P}cSld/{_P}spTree")
            blocks += _shapes(notes, package, {}) if notes is not None else []
    return "\n\n".join(blocks)


def _shapes(
    tree: etree._Element, package: Package, relations: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """From the top; a shape without a place of its own keeps that of its layout, so comes first."""
    for shape in sorted(tree, key=_place):
        if shape.tag == f"{_P}grpSp":
            yield from _shapes(shape, package, relations)
        elif shape.tag == f"{_P}graphicFrame":
            yield from _graphic(shape, package, relations)
        elif shape.tag == f"{_P}sp" and (text := _text(shape)):
            yield text


def _place(shape: etree._Element) -> tuple[int, int]:
    offset = next(shape.iter(f"{_A}off"), None)
    if offset is None:
        return -1, -1
    x, y = offset.get("x", "0"), offset.get("y", "0")
    return (int(y), int(x)) if x.isdecimal() and y.isdecimal() else (-1, -1)


def _text(shape: etree._Element) -> str:
    placeholder = next(shape.iter(f"{_P}ph"), None)
    kind = placeholder.get("type", "") if placeholder is not None else ""
    body = shape.find(f"{_P}txBody")
    if body is None or kind in _FURNITURE:
        return ""
    lines = [_paragraph(item) for item in body.iter(f"{_A}p")]
    lines = [line for line in lines if line]
    if kind in _TITLES and lines:
        return f"# {' '.join(lines)}"
    return no_headings("\n".join(lines))


def _paragraph(item: etree._Element) -> str:
    words = []
    for part in item.iter(f"{_A}t", f"{_A}br", f"{_A}tab"):
        words.append((part.text or "") if part.tag == f"{_A}t" else " ")
    return " ".join("".join(words).split(" ")).strip()


def _graphic(
    shape: etree._Element, package: Package, relations: dict[str, tuple[str, str]]
) -> Iterator[str]:
    for table in shape.iter(f"{_A}tbl"):
        rows = [
            [" ".join(_paragraph(p) for p in cell.iter(f"{_A}p")) for cell in row.iter(f"{_A}tc")]
            for row in table.iter(f"{_A}tr")
        ]
        if text := markdown_table(rows):
            yield text
    for chart in shape.iter(f"{_C}chart"):
        kind, target = relations.get(chart.get(f"{_R}id", ""), ("", ""))
        if kind == "chart" and target in package.names:
            yield from _chart(package.xml(target))


def _chart(root: etree._Element) -> Iterator[str]:
    """The chart's title, and its figures as a table with a column for each series."""
    title = root.find(f"{_C}chart/{_C}title")
    if title is not None and (text := "".join(p.text or "" for p in title.iter(f"{_A}t")).strip()):
        yield text
    columns: list[list[str]] = []
    for series in root.iter(f"{_C}ser"):
        if not columns:
            columns.append(["", *_points(series, "cat")])
        columns.append([" ".join(_points(series, "tx")), *_points(series, "val")])
    height = max((len(column) for column in columns), default=0)
    rows = [[column[i] if i < len(column) else "" for column in columns] for i in range(height)]
    if text := markdown_table(rows):
        yield text


def _points(series: etree._Element, name: str) -> list[str]:
    found = series.find(f"{_C}{name}")
    return [point.text or "" for point in found.iter(f"{_C}v")] if found is not None else []
