"""Builds the office and PDF files of the example from text that can be read and reviewed.

`sources/{en,zh}/NAME.SUFFIX.md` becomes `documents/{en,zh}/NAME.SUFFIX`, where SUFFIX is docx,
pdf or xlsx. The sources are a small part of Markdown: headings, paragraphs, `**bold**`, lists and
pipe tables; nothing else is understood. A second run writes the same bytes, so that a change of a
binary is always a change of its text.

Run it with `python make_documents.py`; it needs python-docx, openpyxl and reportlab.
"""

import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Any

from docx import Document as new_docx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, SimpleDocTemplate, Spacer, Table, TableStyle
from reportlab.platypus import Paragraph as PdfParagraph

HERE = Path(__file__).resolve().parent
FIXED_DATE = datetime(2025, 9, 1, 8, 0, 0)
ZIP_DATE = (2025, 9, 1, 8, 0, 0)

# The one file that is corrupt on purpose. So few bytes hold no page tree, from which a lenient
# reader could rebuild the rest.
TRUNCATED_BYTES = {"service-bulletin.pdf": 700}

HEADING = re.compile(r"(#{1,4}) +(.+)")
ITEM = re.compile(r"(?:[-*]|(\d+)\.) +(.+)")
TABLE_RULE = re.compile(r"\|[\s:|-]+\|")
BOLD = re.compile(r"\*\*(.+?)\*\*")
HAN = re.compile(r"[\u3400-\u9fff]")
CORE_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(<)")


@dataclass(frozen=True, kw_only=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    text: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """One list entry; `number` is 0 for a bullet."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table; the first row is its head."""

    rows: list[list[str]]


Block = Heading | Paragraph | Item | Grid
Writer = Callable[[list[Block]], bytes]


def parse(text: str) -> Iterator[Block]:
    """Markdown → blocks. A block of plain lines is one paragraph, so lines may be wrapped."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if line.startswith("|"):
            rows = [row.strip() for row in takewhile(lambda row: "|" in row, lines[at:])]
            yield Grid(rows=[cells(row) for row in rows if not TABLE_RULE.fullmatch(row)])
            at += len(rows)
        elif match := HEADING.fullmatch(line):
            yield Heading(level=len(match[1]), text=match[2])
            at += 1
        elif match := ITEM.fullmatch(line):
            more = list(takewhile(is_plain, lines[at + 1 :]))
            yield Item(number=int(match[1] or 0), text=joined([match[2], *more]))
            at += 1 + len(more)
        elif line:
            more = list(takewhile(is_plain, lines[at:]))
            yield Paragraph(text=joined(more))
            at += len(more)
        else:
            at += 1


def is_plain(line: str) -> bool:
    line = line.strip()
    return bool(line) and not (line.startswith("|") or HEADING.match(line) or ITEM.match(line))


def joined(lines: list[str]) -> str:
    """One line of text; wrapped Chinese lines meet without a space."""
    text = " ".join(line.strip() for line in lines)
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def plain(text: str) -> str:
    return BOLD.sub(r"\1", text)


def is_chinese(blocks: list[Block]) -> bool:
    return any(isinstance(block, Heading) and HAN.search(block.text) for block in blocks)


def title_of(blocks: list[Block]) -> str:
    return next(block.text for block in blocks if isinstance(block, Heading))


def docx_bytes(blocks: list[Block]) -> bytes:
    document = new_docx()
    document.core_properties.title = title_of(blocks)
    document.core_properties.author = "Morrow"
    document.core_properties.created = document.core_properties.modified = FIXED_DATE
    normal = document.styles["Normal"]
    normal.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), "SimSun")
    for block in blocks:
        add_to_docx(document, block)
    out = io.BytesIO()
    document.save(out)
    return with_fixed_dates(out.getvalue())


def add_to_docx(document: Any, block: Block) -> None:
    match block:
        case Heading(level=level, text=text):
            document.add_heading(text, level=level)
        case Paragraph(text=text):
            add_runs(document.add_paragraph(), text)
        case Item(number=0, text=text):
            add_runs(document.add_paragraph(style="List Bullet"), text)
        case Item(number=number, text=text):
            # The number is text: Word's own list numbers would run on from list to list.
            add_runs(document.add_paragraph(), f"{number}. {text}")
        case Grid(rows=rows):
            table = document.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
            for row in rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    add_runs(cell.paragraphs[0], text)
            # Word calls the first row a heading only if it is said; readers rely on it.
            table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def add_runs(paragraph: Any, text: str) -> None:
    for index, part in enumerate(BOLD.split(text)):
        if part:
            paragraph.add_run(part).bold = index % 2 == 1


def pdf_bytes(blocks: list[Block]) -> bytes:
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        title=title_of(blocks),
        author="Morrow",
        leftMargin=22 * mm,
        rightMargin=22 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        invariant=1,
    )
    template.build(list(pdf_flowables(blocks)))
    return out.getvalue()


def pdf_flowables(blocks: list[Block]) -> Iterator[Flowable]:
    style = partial(pdf_style, chinese=is_chinese(blocks))
    for block in blocks:
        match block:
            case Heading(level=level, text=text):
                size = {1: 18, 2: 13}.get(level, 11)
                yield PdfParagraph(escape(text), style(size, bold=True))
            case Paragraph(text=text):
                yield PdfParagraph(marked_up(text), style(10))
            case Item(number=number, text=text):
                mark = f"{number}." if number else "\u2022"
                yield PdfParagraph(f"{mark} {marked_up(text)}", style(10, indent=6 * mm))
            case Grid(rows=rows):
                yield pdf_table([[PdfParagraph(marked_up(t), style(9)) for t in r] for r in rows])
                yield Spacer(1, 3 * mm)


def marked_up(text: str) -> str:
    return BOLD.sub(r"<b>\1</b>", escape(text, quote=False))


def pdf_style(
    size: float, *, chinese: bool, bold: bool = False, indent: float = 0
) -> ParagraphStyle:
    latin = "Helvetica-Bold" if bold else "Helvetica"
    return ParagraphStyle(
        f"{size}-{bold}",
        fontName="STSong-Light" if chinese else latin,
        fontSize=size,
        leading=size * 1.45,
        spaceBefore=size * 0.6 if bold else 0,
        spaceAfter=size * 0.5,
        leftIndent=indent,
        wordWrap="CJK" if chinese else None,
    )


def pdf_table(rows: list[list[PdfParagraph]]) -> Table:
    width = (A4[0] - 44 * mm) / len(rows[0])
    table = Table(rows, colWidths=[width] * len(rows[0]), repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ]
        )
    )
    return table


def xlsx_bytes(blocks: list[Block]) -> bytes:
    """One sheet for each heading that has text or a table under it, named by the heading.

    Text under the first heading therefore makes a sheet of its own, with the file's title.
    """
    workbook = Workbook()
    workbook.remove(workbook.active)
    workbook.properties.title = title_of(blocks)
    workbook.properties.creator = "Morrow"
    workbook.properties.created = FIXED_DATE
    heading = title_of(blocks)
    for block in blocks:
        if isinstance(block, Heading):
            heading = block.text
            continue
        name = sheet_name(heading)
        sheet = workbook[name] if name in workbook.sheetnames else workbook.create_sheet(name)
        add_to_sheet(sheet, block)
    out = io.BytesIO()
    workbook.save(out)
    return with_fixed_dates(out.getvalue())


def sheet_name(heading: str) -> str:
    """Excel allows 31 characters, and not all of them."""
    return re.sub(r"[\[\]:*?/\\]", " ", plain(heading))[:31].strip()


def add_to_sheet(sheet: Any, block: Block) -> None:
    if not isinstance(block, Grid):
        sheet.append([plain(block.text)])
        return
    for row in block.rows:
        sheet.append([plain(cell) for cell in row])
    for cell in sheet[sheet.max_row - len(block.rows) + 1]:
        cell.font = Font(bold=True)
    for column in "ABCDEFGH"[: len(block.rows[0])]:
        sheet.column_dimensions[column].width = 28
        for cell in sheet[column]:
            cell.alignment = Alignment(vertical="top", wrap_text=True)


def with_fixed_dates(archive: bytes) -> bytes:
    """The same office file with the fixed date on every member and in its properties."""
    out = io.BytesIO()
    stamp = FIXED_DATE.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = CORE_MODIFIED.sub(rb"\g<1>" + stamp + rb"\g<2>", data)
            new.writestr(zipfile.ZipInfo(name, ZIP_DATE), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


WRITERS: dict[str, Writer] = {".docx": docx_bytes, ".pdf": pdf_bytes, ".xlsx": xlsx_bytes}


def build(source: Path) -> Path:
    """Writes the one file that `source` describes, and returns its path."""
    name = source.stem
    data = WRITERS[Path(name).suffix](list(parse(source.read_text(encoding="utf-8"))))
    target = HERE / "documents" / source.parent.name / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data[: TRUNCATED_BYTES.get(name)])
    return target


def main() -> int:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    for source in sorted(HERE.glob("sources/*/*.*.md")):
        target = build(source)
        print(f"{target.relative_to(HERE)}  {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
