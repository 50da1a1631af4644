"""Bytes to text with headings: which extractor reads what, and the one error they end in.

What a file is, its first bytes say; the suffix decides among the kinds of text. Extractors are
imported when the first file of their kind comes. Not here: cleaning, and recognising pictures.
"""

from __future__ import annotations

import importlib
import re
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath

from flywheel.collect.formats.content import Content
from flywheel.errors import ExtractError


@dataclass(frozen=True, kw_only=True, slots=True)
class Extracted:
    """A file's text, shaped like Markdown: `#` lines are headings, `|` lines are table rows.

    A `#` that begins a line of code or of running text is indented, so that it is no heading.
    """

    title: str
    text: str
    date: str
    """What the file's own metadata say about its edition, ISO 8601 and possibly short, or empty."""
    media_type: str


_EXTRACTORS = {
    "pdf": ("application/pdf", "pdf", "extract_pdf"),
    "docx": (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
        "extract_docx",
    ),
    "pptx": (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
        "extract_pptx",
    ),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "sheet",
        "extract_xlsx",
    ),
    "xls": ("application/vnd.ms-excel", "sheet", "extract_xls"),
    "msg": ("application/vnd.ms-outlook", "msg", "extract_msg"),
    "epub": ("application/epub+zip", "epub", "extract_epub"),
    "html": ("text/html", "html", "extract_html"),
    "markdown": ("text/markdown", "text", "extract_markdown"),
    "plain": ("text/plain", "text", "extract_plain"),
    "csv": ("text/csv", "text", "extract_csv"),
    "json": ("application/json", "text", "extract_json"),
    "jsonl": ("application/jsonl", "text", "extract_jsonl"),
    "ipynb": ("application/x-ipynb+json", "text", "extract_notebook"),
    "xml": ("application/xml", "text", "extract_xml"),
}
"""By kind: the media type, the module and the function."""

_PLAIN = ("markdown", "plain", "csv", "json", "jsonl", "ipynb")
_SUFFIXES = {
    **dict.fromkeys((".html", ".htm", ".xhtml", ".shtml"), "html"),
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mdx"), "markdown"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".xml", ".rss", ".atom"), "xml"),
    ".json": "json",
    ".ipynb": "ipynb",
}

_OCR, _AUDIO, _VIDEO, _ARCHIVE = "needs OCR", "not text: audio", "not text: video", "archive"
_MAGIC = (
    (b"\x89PNG", _OCR),
    (b"\xff\xd8\xff", _OCR),
    (b"GIF8", _OCR),
    (b"II*\x00", _OCR),
    (b"MM\x00*", _OCR),
    (b"BM", _OCR),
    (b"ID3", _AUDIO),
    (b"\xff\xfb", _AUDIO),
    (b"OggS", _AUDIO),
    (b"fLaC", _AUDIO),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"\x1f\x8b", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ", _ARCHIVE),
    (b"7z\xbc\xaf", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"\x7fELF", "not text: program"),
    (b"MZ", "not text: program"),
    (b"{\\rtf", "not read: RTF, save it as DOCX"),
    (b"SQLite format 3", "not text: database"),
    (b"wOFF", "not text: font"),
)
_SHORT_MAGIC = frozenset((b"BM", b"MZ", b"ID3", b"BZh", b"\xff\xfb"))
"""Texts may begin with these letters; they count only where the bytes are no text."""


_CONTROLS = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r\f\x1a\x1b")


def extract(path: str, data: bytes) -> Extracted:
    """The text of a file; `path` is its name, of which the suffix and the stem are used.

    Raises:
        ExtractError: there is no text to be had; the message is the reason.
    """
    try:
        return _extract(path, data)
    except ExtractError:
        raise
    except MemoryError as error:
        raise ExtractError("too large for the memory of this machine") from error
    except Exception as error:  # damaged files break parsers in ways that nobody can list
        raise ExtractError(f"not readable: {type(error).__name__}") from error


def is_plain(path: str, data: bytes) -> bool:
    """Whether no parser written in C reads a file: such a one's crash cannot be caught."""
    try:
        return _kind(path, data) in _PLAIN
    except ExtractError:
        return True


def _extract(path: str, data: bytes) -> Extracted:
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise ExtractError("empty")
    kind = _kind(path, data)
    media_type, module, function = _EXTRACTORS[kind]
    extractor = getattr(importlib.import_module(f"flywheel.collect.formats.{module}"), function)
    content: Content = extractor(data)
    text = content.text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").strip()
    if not text:
        raise ExtractError("empty")
    return Extracted(
        title=_title(path, kind, content, text),
        text=text,
        date=content.date,
        media_type=media_type,
    )


def _kind(path: str, data: bytes) -> str:
    """The key of `_EXTRACTORS`, by the first bytes, then by the suffix."""
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _zip_kind(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_kind(data)
    is_binary = _is_binary(data)
    if reason := _magic(data, is_binary):
        raise ExtractError(reason)
    suffix = PurePosixPath(path.lower()).suffix
    if is_binary:
        known = suffix in (".docx", ".pptx", ".xlsx", ".pdf", ".epub", ".xls", ".msg")
        raise ExtractError(f"corrupt {suffix[1:].upper()}" if known else "not text: binary")
    return _SUFFIXES.get(suffix) or _text_kind(data)


def _magic(data: bytes, is_binary: bool) -> str:
    if data[:4] == b"RIFF":
        return _OCR if data[8:12] == b"WEBP" else _AUDIO if data[8:12] == b"WAVE" else _VIDEO
    if data[4:8] == b"ftyp":
        return _OCR if data[8:11] in (b"hei", b"avi", b"mif") else "not text: audio or video"
    for magic, reason in _MAGIC:
        if data.startswith(magic) and (is_binary or magic not in _SHORT_MAGIC):
            return "archive: unpack it first" if reason == _ARCHIVE else reason
    return ""


def _is_binary(data: bytes) -> bool:
    """Zeros, or more control characters than any text has; UTF-16 and UTF-32 are text."""
    sample = data[:8192]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return False
    if b"\0" in sample:
        from flywheel.collect.formats.decode import decode

        text = decode(sample)
        return sum(character < "\x09" or character == "\ufffd" for character in text) > 0
    return len(sample) - len(sample.translate(None, _CONTROLS)) > 0.02 * len(sample)


def _zip_kind(data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ExtractError("corrupt: the file is cut off or damaged") from error
    for folder, kind in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
        if any(name.startswith(folder) for name in names):
            return kind
    if "META-INF/container.xml" in names:
        return "epub"
    is_odf = "content.xml" in names and "META-INF/manifest.xml" in names
    raise ExtractError("not read: OpenDocument, save it as DOCX" if is_odf else "archive")


def _ole_kind(data: bytes) -> str:
    """Office files of before 2007; encrypted newer ones come in the same wrapping."""
    import olefile

    try:
        with olefile.OleFileIO(BytesIO(data)) as container:
            has = container.exists
            for name, kind in (
                ("__properties_version1.0", "msg"),
                ("Workbook", "xls"),
                ("Book", "xls"),
            ):
                if has(name):
                    return kind
            if has("EncryptedPackage"):
                raise ExtractError("encrypted")
            if has("WordDocument"):
                raise ExtractError("not read: Word before 2007, save it as DOCX")
            if has("PowerPoint Document"):
                raise ExtractError("not read: PowerPoint before 2007, save it as PPTX")
    except ExtractError:
        raise
    except Exception as error:  # olefile meets damage with errors of every kind
        raise ExtractError("corrupt: the file is cut off or damaged") from error
    raise ExtractError("not text: binary")


def _text_kind(data: bytes) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return "html"
    return "xml" if head.startswith((b"<?xml", b"<rss", b"<feed")) else "plain"


_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)
_SENSELESS = re.compile(
    r"untitled.*|\(anonymous\)|anonymous|powerpoint presentation|presentation|document\d*|"
    r"word document|slide \d+|title|book\d*|sheet\d*|none|null|无标题|未命名|演示文稿\d*|文档\d*|"
    r".*\.(docx?|pptx?|xlsx?|pdf|indd|tex|dvi|html?|qxd|rtf|odt|md|txt)|[0-9a-f-]{32,}|\W*",
    re.I,
)
_TITLE_WITHIN = 500
"""Characters; in a PDF a heading further down is not the title."""
_PREFIX = re.compile(r"^microsoft (?:office )?(?:word|powerpoint|excel) - ", re.I)


def _title(path: str, kind: str, content: Content, text: str) -> str:
    """The document's own title: stated, or its first heading; else the file's stem."""
    own = _sensible(content.title)
    found = _HEADING.search(text)
    heading = _sensible(found.group(1)) if found else ""
    leads = bool(heading) and found is not None and found.start() == 0
    if kind in ("docx", "pptx") and leads:  # templates hand on their properties' titles
        return heading
    is_far = found is not None and found.start() > _TITLE_WITHIN
    if kind in ("xlsx", "xls", "csv") or (kind == "pdf" and is_far):
        heading = ""  # names a sheet or a section
    name = path.rpartition("!/")[2] or path
    return own or heading or PurePosixPath(name).stem or name


def _sensible(title: str) -> str:
    title = _PREFIX.sub("", " ".join(title.split()))
    return "" if len(title) > 200 or _SENSELESS.fullmatch(title) else title
