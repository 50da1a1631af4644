"""Every kind of file gives its words or a reason; nothing else is raised, nothing is printed."""

from __future__ import annotations

import difflib
import io
import json
import logging
import unicodedata
import warnings
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from flywheel.collect.extract import extract
from flywheel.collect.read import File, Unreadable, scan
from flywheel.errors import ExtractError

SHARED = Path(__file__).parents[3] / "shared" / "data"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def text_of(path: str, data: bytes | str) -> str:
    return extract(path, data.encode() if isinstance(data, str) else data).text


def reason_of(path: str, data: bytes) -> str:
    with pytest.raises(ExtractError) as caught:
        extract(path, data)
    return str(caught.value)


def make_zip(parts: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def relations(*entries: tuple[str, str, str]) -> str:
    items = "".join(
        f'<Relationship Id="{key}" Type="{RELATION}/{kind}" Target="{target}"/>'
        for key, kind, target in entries
    )
    return f"<Relationships>{items}</Relationships>"


class Pdf:
    """A PDF drawn line by line, as a word processor would."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        self.canvas = Canvas(self._stream, pagesize=A4)

    def line(
        self, x: float, y: float, text: str, size: float = 10, font: str = "Helvetica"
    ) -> None:
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, y, text)

    def picture(self) -> None:
        image = Image.new("RGB", (8, 8), "gray")
        self.canvas.drawImage(ImageReader(image), 0, 0, *A4)

    def data(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self._stream.getvalue()


PROSE = (
    "The child lock keeps the rear doors closed from the inside, so that a pas-",
    "senger on the rear seat cannot open them while the vehicle is moving along",
    "the road.",
)


def test_pdf_lines_become_paragraphs_and_large_ones_headings() -> None:
    pdf = Pdf()
    pdf.line(60, 780, "Child lock", 16)
    for index, line in enumerate(PROSE):
        pdf.line(60, 750 - 12 * index, line)
    for index, line in enumerate(PROSE):
        pdf.line(60, 690 - 12 * index, line)
    text = text_of("manual.pdf", pdf.data())
    first = "The child lock keeps the rear doors closed from the inside, so that a passenger"
    assert text.startswith(f"# Child lock\n\n{first}")
    assert text.count("while the vehicle is moving along the road.") == 2
    assert len(text.split("\n\n")) == 3


def test_pdf_in_chinese_joins_lines_without_spaces() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    pdf = Pdf()
    lines = (
        "儿童锁可以防止后排乘客在车辆行驶时从车内打开车门。请先按下“锁止”",
        "键，再检查儿童锁是否已经锁上。",
    )
    for index, line in enumerate(lines):
        pdf.line(60, 750 - 15 * index, line, 10, "STSong-Light")
    assert text_of("手册.pdf", pdf.data()) == "".join(lines)


def test_pdf_headings_come_from_the_outline_where_there_is_one() -> None:
    pdf = Pdf()
    pdf.canvas.bookmarkPage("a")
    pdf.canvas.addOutlineEntry("Tyres", "a", level=0)
    pdf.canvas.bookmarkPage("b")
    pdf.canvas.addOutlineEntry("Pressure", "b", level=1)
    pdf.line(60, 780, "1 Tyres", 16)
    pdf.line(60, 740, "1.1 Pressure", 10)
    pdf.line(60, 700, "Warning", 16)
    pdf.line(60, 660, "Measure it cold.")
    text = text_of("manual.pdf", pdf.data())
    assert text == "# 1 Tyres\n\n## 1.1 Pressure\n\nWarning\n\nMeasure it cold."


def test_pdf_table_keeps_its_columns_whatever_order_the_cells_were_drawn_in() -> None:
    pdf = Pdf()
    columns = {60: ("Tyre", "Front", "Rear"), 200: ("Bar", "2.3", ""), 300: ("psi", "33", "36")}
    for x, cells in columns.items():
        for index, cell in enumerate(cells):
            pdf.line(x, 700 - 14 * index, cell)
    assert text_of("t.pdf", pdf.data()).splitlines() == [
        "| Tyre | Bar | psi |",
        "| --- | --- | --- |",
        "| Front | 2.3 | 33 |",
        "| Rear |  | 36 |",
    ]


def test_pdf_columns_of_prose_are_read_one_after_the_other() -> None:
    pdf = Pdf()
    for index in range(10):
        pdf.line(60, 750 - 12 * index, f"left column, its line number {index} goes on", 9)
        pdf.line(310, 750 - 12 * index, f"right column, its line number {index} goes on", 9)
    text = text_of("paper.pdf", pdf.data())
    assert text.index("left column, its line number 9") < text.index(
        "right column, its line number 0"
    )


def test_pdf_running_headers_and_page_numbers_go() -> None:
    pdf = Pdf()
    for page in range(5):
        pdf.line(60, 820, "Owner's manual X200")
        pdf.line(60, 700, f"Words of the page that is called {'abcde'[page]}.")
        pdf.line(290, 20, f"Page {page + 1} of 5")
        if page < 4:
            pdf.canvas.showPage()
    text = text_of("manual.pdf", pdf.data())
    assert text.count("Owner's manual") <= 1
    assert "Page " not in text
    assert all(f"is called {letter}." in text for letter in "abcde")


def test_pdf_code_with_a_hash_is_no_heading() -> None:
    pdf = Pdf()
    pdf.line(60, 700, "# restart the service", 10, "Courier")
    text = text_of("a.pdf", pdf.data())
    assert text.lstrip() == "# restart the service"


def test_pdf_that_is_only_pictures_needs_ocr_and_a_mixed_one_gives_its_text() -> None:
    scanned = Pdf()
    scanned.picture()
    assert reason_of("scan.pdf", scanned.data()) == "needs OCR"
    mixed = Pdf()
    mixed.picture()
    mixed.canvas.showPage()
    mixed.line(60, 700, "The second page has words.")
    assert text_of("mixed.pdf", mixed.data()) == "The second page has words."


def test_pdf_without_anything_on_its_pages_is_empty() -> None:
    assert reason_of("blank.pdf", Pdf().data()) == "empty"


def test_pdf_that_is_locked_or_damaged_says_so() -> None:
    locked = Pdf()
    locked.line(60, 700, "secret")
    locked.canvas.setEncrypt("password")
    assert reason_of("locked.pdf", locked.data()) == "encrypted"
    assert reason_of("broken.pdf", b"%PDF-1.7 and then nothing of use") == "corrupt PDF"


STYLES = f"""<w:styles {W}>
<w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="H1"/>
<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
</w:styles>"""
NUMBERING = f"""<w:numbering {W}><w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="chineseCounting"/>
<w:lvlText w:val="第%1条"/></w:lvl></w:abstractNum>
<w:num w:numId="5"><w:abstractNumId w:val="0"/></w:num></w:numbering>"""


def docx(body: str, title: str = "") -> bytes:
    return make_zip(
        {
            "_rels/.rels": relations(("r1", "officeDocument", "word/document.xml")),
            "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(
                ("r1", "styles", "styles.xml"), ("r2", "numbering", "numbering.xml")
            ),
            "word/styles.xml": STYLES,
            "word/numbering.xml": NUMBERING,
            "docProps/core.xml": f'<c xmlns:dc="x"><dc:title>{title}</dc:title></c>',
        }
    )


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_docx_headings_follow_styles_and_their_bases() -> None:
    body = paragraph("Tyres", '<w:pStyle w:val="H1"/>') + paragraph(
        "Pressure", '<w:pStyle w:val="Own"/>'
    )
    data = docx(body + paragraph("Measure it cold."), "Template of the firm")
    found = extract("a.docx", data)
    assert found.text == "# Tyres\n\n## Pressure\n\nMeasure it cold."
    assert found.title == "Tyres"


def test_docx_automatic_numbers_are_written_out() -> None:
    number = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="5"/></w:numPr>'
    body = "".join(paragraph(f"内容{index}", number) for index in range(12))
    lines = text_of("法.docx", docx(body)).splitlines()
    assert lines[0] == "第一条 内容0" and lines[10] == "第十一条 内容10"


def test_docx_keeps_insertions_and_leaves_deletions_out() -> None:
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>"
    )
    assert text_of("a.docx", docx(body)) == "kept inserted"


def test_docx_table_is_rows_and_content_controls_are_read() -> None:
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    rows = "".join(f"<w:tr>{''.join(cell.format(c) for c in row)}</w:tr>" for row in ("ab", "cd"))
    body = f"<w:sdt><w:sdtContent><w:tbl>{rows}</w:tbl></w:sdtContent></w:sdt>"
    assert text_of("a.docx", docx(body)) == "| a | b |\n| --- | --- |\n| c | d |"


def test_pptx_slide_has_its_title_first_then_texts_from_the_top() -> None:
    shape = (
        '<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        '<p:spPr><a:xfrm><a:off x="0" y="{y}"/></a:xfrm></p:spPr>'
        "<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )
    shapes = [("body", 9, "below"), ("body", 5, "above"), ("title", 7, "Tyres"), ("sldNum", 1, "4")]
    space = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    space += 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    tree = "".join(shape.format(kind=kind, y=y, text=text) for kind, y, text in shapes)
    data = make_zip(
        {
            "ppt/presentation.xml": f'<p:presentation {space} xmlns:r="{RELATION}"><p:sldIdLst>'
            '<p:sldId r:id="r1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(("r1", "slide", "slides/slide1.xml")),
            "ppt/slides/slide1.xml": f"<p:sld {space}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld>"
            "</p:sld>",
        }
    )
    found = extract("talk.pptx", data)
    assert (found.title, found.text) == ("Tyres", "# Tyres\n\nabove\n\nbelow")


def test_xlsx_sheets_are_tables_under_their_names() -> None:
    book = Workbook()
    sheet = book.active
    sheet.title = "轮胎"
    for row in (("Tyre pressures",), ("Tyre", "Bar"), ("Front", 2.30), ("Rear", 3.0)):
        sheet.append(row)
    hidden = book.create_sheet("hidden")
    hidden.append(("secret", 1))
    hidden.sheet_state = "hidden"
    stream = io.BytesIO()
    book.save(stream)
    assert text_of("t.xlsx", stream.getvalue()) == (
        "## 轮胎\n\nTyre pressures\n\n| Tyre | Bar |\n| --- | --- |\n| Front | 2.3 |\n| Rear | 3 |"
    )


def test_office_files_of_damaged_or_unread_kinds_say_so() -> None:
    assert reason_of("a.docx", b"PK\x03\x04 cut off").startswith("corrupt")
    assert reason_of(
        "a.odt", make_zip({"content.xml": "", "META-INF/manifest.xml": ""})
    ).startswith("not read: OpenDocument")
    assert reason_of("a.docx", docx("")) == "empty"
    assert reason_of("a.docx", make_zip({"word/document.xml": "no xml"})) == "corrupt DOCX"


def test_xml_entities_of_an_office_file_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    body = paragraph("before &leak; after")
    document = (
        f'<!DOCTYPE d [<!ENTITY leak SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
        f"<w:document {W}><w:body>{body}</w:body></w:document>"
    )
    assert "the secret" not in text_of("a.docx", make_zip({"word/document.xml": document}))


def test_epub_chapters_come_in_the_order_of_the_spine() -> None:
    opf = (
        '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>The Book</dc:title>"
        "<dc:date>2024-05-01</dc:date></metadata><manifest>"
        '<item id="a" href="a%20b.xhtml"/><item id="b" href="b.xhtml"/>'
        '<item id="n" href="nav.xhtml" properties="nav"/></manifest>'
        '<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    container = '<container><rootfiles><rootfile full-path="x/book.opf"/></rootfiles></container>'
    page = '<?xml version="1.0" encoding="utf-8"?>'
    page += "<html><body><h1>{0}</h1><p>{0} text</p></body></html>"
    data = make_zip(
        {
            "META-INF/container.xml": container,
            "x/book.opf": opf,
            "x/a b.xhtml": page.format("第二章"),
            "x/b.xhtml": page.format("第一章"),
            "x/nav.xhtml": page.format("nav"),
        }
    )
    found = extract("book.epub", data)
    assert found.text == "# 第一章\n\n第一章 text\n\n# 第二章\n\n第二章 text"
    assert (found.title, found.date) == ("The Book", "2024-05-01")


PAGE = """<!DOCTYPE html><html><head><title>Tyres - The Manual</title>
<meta property="article:published_time" content="2024-03-05T10:00:00Z"></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/b">Brakes</a></li></ul></nav>
<div class="site-sidebar"><p>Related pages</p></div>
<main><h1>Tyres</h1><p>Measure the <b>pressure</b> when
the tyres are <a href="/cold">cold</a>.</p>
<h2>Limits</h2><table><tr><th>Tyre</th><th>Bar</th></tr><tr><td>Front</td><td>2.3</td></tr></table>
<ul><li>First<ul><li>Nested</li></ul></li><li>Second</li></ul><ol><li>One</li><li>Two</li></ol>
<pre># not a heading
x = 1</pre><dl><dt>TPMS</dt><dd>Watches the tyres.</dd></dl></main>
<footer><p>All rights reserved</p></footer><script>alert("no")</script></body></html>"""


def test_html_main_text_is_markdown_without_navigation() -> None:
    found = extract("tyres.html", PAGE.encode())
    assert (found.title, found.date, found.media_type) == ("Tyres", "2024-03-05", "text/html")
    assert found.text == (
        "# Tyres\n\nMeasure the pressure when the tyres are cold.\n\n## Limits\n\n"
        "| Tyre | Bar |\n| --- | --- |\n| Front | 2.3 |\n\n- First\n  - Nested\n- Second\n\n"
        "1. One\n2. Two\n\n    # not a heading\n    x = 1\n\nTPMS\nWatches the tyres."
    )


def test_html_line_break_within_chinese_is_no_space() -> None:
    page = '<html><head><meta charset="gb2312"></head><body><p>儿童锁\n位于后门</p></body></html>'
    assert text_of("a.html", page.encode("gb18030")) == "儿童锁位于后门"


def test_html_layout_table_is_text_and_a_cell_over_rows_is_repeated() -> None:
    layout = "<table><tr><td><p>one</p></td></tr><tr><td><p>two</p></td></tr></table>"
    assert text_of("a.html", f"<html><body>{layout}</body></html>") == "one\n\ntwo"
    spans = (
        "<table><tr><td rowspan=2>Tyre</td><td>Front</td></tr><tr><td>Rear</td></tr>"
        "<tr><td colspan=2>Both</td></tr></table>"
    )
    lines = text_of("a.html", f"<html><body>{spans}</body></html>").splitlines()
    assert lines == ["| Tyre | Front |", "| --- | --- |", "| Tyre | Rear |", "| Both |  |"]


def test_html_that_is_mostly_furniture_keeps_its_text() -> None:
    page = (
        '<html><body><div class="menu"><p>All the words of this page stand here.</p></div></body>'
    )
    assert text_of("a.html", page) == "All the words of this page stand here."


def test_markdown_loses_front_matter_and_comments_and_nothing_else() -> None:
    source = (
        "---\ntitle: '民法典'\ndate: 2021-01-01\n---\n# 民法典\n\n<!-- INFO END -->\n"
        "第一条 为了保护。\n"
        "\n```sh\n# a comment\n```\n\nLimits\n------\n\n| a | b |\n| --- | --- |\n"
    )
    found = extract("civil.md", source.encode())
    assert (found.title, found.date) == ("民法典", "2021-01-01")
    assert found.text == (
        "# 民法典\n\n第一条 为了保护。\n\n```sh\n    # a comment\n```\n\n## Limits\n\n"
        "| a | b |\n| --- | --- |"
    )


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("Owner's manual\n\nText.", "Owner's manual"),
        ("A sentence.\n\nText.", "notes"),
        ("a\nb", "notes"),
    ],
)
def test_plain_text_has_its_first_line_as_the_title_only_where_it_stands_apart(
    source: str, title: str
) -> None:
    assert extract("a.zip!/x/notes.txt", source.encode()).title == title


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_of_every_delimiter_is_a_table(delimiter: str) -> None:
    source = f'Tyre{delimiter}Bar\nFront{delimiter}"2{delimiter}3"\n'
    lines = text_of("t.csv", source).splitlines()
    shown = f"2{delimiter}3".replace("|", "\\|").replace("\t", " ")
    assert lines == ["| Tyre | Bar |", "| --- | --- |", f"| Front | {shown} |"]


def test_csv_in_shift_jis_is_read() -> None:
    assert "| 佐藤太郎 | 東京 |" in text_of("a.csv", "名前,住所\n佐藤太郎,東京\n".encode("cp932"))


def test_json_is_lines_of_keys_and_values() -> None:
    value = [{"q": "Where?", "a": {"text": "There"}, "tags": ["x", "y"]}, {"q": "When?"}]
    expected = "q: Where?\na.text: There\ntags: x, y\n\nq: When?"
    assert text_of("a.json", json.dumps(value)) == expected
    assert text_of("a.jsonl", "\n".join(map(json.dumps, value))) == expected
    assert reason_of("a.json", b"[" * 100_000) == "corrupt JSON"


def test_notebook_is_its_texts_and_code_without_outputs() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Notes\n", "words"]},
        {"cell_type": "code", "source": "# comment\nx = 1", "outputs": [{"text": "42"}]},
    ]
    found = extract("a.ipynb", json.dumps({"cells": cells}).encode())
    assert (found.title, found.text) == ("Notes", "# Notes\nwords\n\n    # comment\n    x = 1")
    assert reason_of("a.ipynb", b"[1]") == "corrupt notebook"


def test_feed_is_its_entries_under_their_titles() -> None:
    feed = (
        '<?xml version="1.0"?><rss><channel><title>News</title><item><title>One</title>'
        "<pubDate>Mon, 09 Dec 2024 20:26:59 +0000</pubDate>"
        "<description>&lt;p&gt;Some &lt;b&gt;words&lt;/b&gt;&lt;/p&gt;</description></item>"
        "</channel></rss>"
    )
    assert text_of("f.xml", feed) == "# News\n\n## One\n\n2024-12-09\n\nSome words"
    assert text_of("d.xml", "<a><b>one</b><c>two</c></a>") == "one\ntwo"


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("a.md", b"", "empty"),
        ("a.md", b"\xef\xbb\xbf \n", "empty"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "needs OCR"),
        ("a.txt", b"\xff\xd8\xff\xe0 a photo with a wrong name", "needs OCR"),
        ("a.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00" * 9, "not text: audio"),
        ("a.m4a", b"\x00\x00\x00\x20ftypM4A mp42", "not text: audio or video"),
        ("a.docx", bytes(range(256)) * 4, "corrupt DOCX"),
        ("a.bin", bytes(range(256)) * 4, "not text: binary"),
        ("a.gz", b"\x1f\x8b\x08\x00" + bytes(20), "archive: unpack it first"),
        ("a.rtf", b"{\\rtf1 text}", "not read: RTF, save it as DOCX"),
    ],
)
def test_what_is_no_text_has_a_reason(path: str, data: bytes, reason: str) -> None:
    assert reason_of(path, data) == reason


def test_text_that_begins_like_a_binary_format_is_text() -> None:
    assert text_of("a.txt", "BMW and MZ are makers.") == "BMW and MZ are makers."


def test_senseless_titles_give_way_to_the_heading_or_the_name() -> None:
    page = "<html><head><title>Untitled Document</title></head><body><p>words</p></body></html>"
    assert extract("oil-change.html", page.encode()).title == "oil-change"
    assert extract("a.docx", docx(paragraph("words"), "Microsoft Word - Plan")).title == "Plan"
    assert extract("plan.docx", docx(paragraph("words"), "letter.doc")).title == "plan"


SUFFIXES = (
    "md",
    "txt",
    "html",
    "csv",
    "json",
    "jsonl",
    "ipynb",
    "xml",
    "pdf",
    "docx",
    "msg",
    "xls",
)


def ends_well(path: str, data: bytes) -> None:
    """Either text or a reason; and neither a warning nor a printed word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert extract(path, data).text.strip()
        except ExtractError as error:
            assert 0 < len(str(error)) < 80


@given(suffix=st.sampled_from(SUFFIXES), data=st.binary(max_size=300))
def test_random_bytes_end_in_text_or_a_reason(suffix: str, data: bytes) -> None:
    ends_well(f"a.{suffix}", data)


TAGS = ("p", "/p", "table", "tr><td", "ul><li", "dl><dt", "dd", "br", "pre", "rss", "item", "!--")
MARKUP = st.sampled_from(
    (
        *(f"<{tag}>" for tag in TAGS),
        *"#|,{}[]\n文a\x00\ud800",
        "-->",
        "---\n",
        "```\n",
        "&#0;",
        "<td rowspan=99 colspan=9999>",
    )
)


@given(suffix=st.sampled_from(SUFFIXES[:8]), pieces=st.lists(MARKUP, max_size=40))
def test_broken_markup_ends_in_text_or_a_reason(suffix: str, pieces: list[str]) -> None:
    ends_well(f"a.{suffix}", "".join(pieces).encode("utf-8", "surrogatepass"))


@cache  # the files carry the time: made anew they would not be the same
def sound_files() -> dict[str, bytes]:
    pdf = Pdf()
    pdf.line(60, 700, "Words on a page.")
    book = Workbook()
    book.active.append(("a", 1))
    stream = io.BytesIO()
    book.save(stream)
    return {"a.pdf": pdf.data(), "a.docx": docx(paragraph("words")), "a.xlsx": stream.getvalue()}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_end_in_text_or_a_reason(data: st.DataObject) -> None:
    path, sound = data.draw(st.sampled_from(sorted(sound_files().items())))
    raw = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    ends_well(path, bytes(raw[: data.draw(st.integers(1, len(raw)))]))


def test_deep_nesting_ends_in_text_or_a_reason() -> None:
    for tag in ("div", "table><tr><td", "ul><li", "b", "blockquote", "dl><dd"):
        assert "words" in text_of("a.html", f"<html><body>{f'<{tag}>' * 300}words")
        ends_well("a.html", f"<html><body>{f'<{tag}>' * 3000}words".encode())
    ends_well("a.xml", b"<a>" * 100_000)
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">' + "".join(
        f'<!ENTITY x{i} "{f"&x{i - 1 if i else str()};" * 10}">' for i in range(9)
    )
    ends_well("a.xml", f"{bomb}]><a>&x8;</a>".encode())


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")


@needs_shared
@pytest.mark.parametrize("name", ["office", "manuals"])
def test_every_real_file_gives_text_or_a_reason_in_silence(
    name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    reasons = {}
    for row in scan(str(SHARED / name)):
        if isinstance(row, Unreadable):
            reasons[row.path] = row.reason
        if isinstance(row, File):
            try:
                assert extract(row.path, row.read()).text
            except ExtractError as error:
                reasons[row.path] = str(error)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert set(reasons.values()) <= {
        "needs OCR",
        "empty",
        "not text: audio",
        "not text: audio or video",
        "not text: binary",
    }


def letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "RECEIPT-2024-TXN-98765_retail_purchase",
        "REPAIR-2022-INV-001_multipage",
        "SPARSE-2024-INV-1234_borderless_table",
        "movie-theater-booking-2024",
        "test",
    ],
)
def test_real_pdf_reads_as_a_person_copied_it(name: str) -> None:
    folder = SHARED / "office"
    text = extract(f"{name}.pdf", (folder / f"{name}.pdf").read_bytes()).text
    expected = (folder / "expected" / f"{name}.md").read_text("utf-8")
    matcher = difflib.SequenceMatcher(None, letters(text), letters(expected), autojunk=False)
    assert matcher.ratio() >= 0.98
