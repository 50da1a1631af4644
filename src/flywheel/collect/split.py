"""Documents → passages: structure first, size second.

An article of a statute is one passage, however long it is in practice. Other text is gathered
under one heading, never across two, up to a size; a table is cut between rows and repeats its
head. But for that repeated head a passage's text is a verbatim part of the document's. Headings are
not part of a passage's text (they are its `headings`), and a heading with nothing under it gives no
passage.

Not here: cleaning, and choosing which documents deserve passages at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from flywheel.collect.outline import Section, sections
from flywheel.records import Document, Language, Passage, StageSettings

if TYPE_CHECKING:
    from semantic_text_splitter import TextSplitter


class SplitSettings(StageSettings):
    """How long passages are. Sizes count Chinese characters; any other word counts as three."""

    target_size: int = Field(default=750, ge=30, le=1200)
    """Paragraphs under one heading are gathered up to this size: 750 Chinese characters, or 250
    English words."""
    max_size: int = Field(default=1200, ge=60, le=4000)
    """No passage is longer: 1,200 Chinese characters, or 400 English words. Only an article of a
    statute may be, since it is always one passage."""

    @model_validator(mode="after")
    def _target_within_max(self) -> Self:
        if self.target_size > self.max_size:
            raise ValueError("target_size is larger than max_size")
        return self


def split(document: Document, settings: SplitSettings) -> list[Passage]:
    """The document's passages in reading order.

    An id depends on the document's id, the headings and the text (and on the count of equal
    passages before it), so that it survives changes elsewhere in the document.
    """
    seen: Counter[str] = Counter()
    passages: list[Passage] = []
    language = _language_of(document)
    for headings, text in _pieces(document, settings):
        key = "\0".join((document.id, *headings, "", text))
        passages.append(
            Passage(
                id=_short_hash(f"{key}\0{seen[key]}"),
                document=document.id,
                title=document.title,
                headings=headings,
                text=text,
                language=language(text),
                position=len(passages),
                path=document.path,
                access=document.access,
            )
        )
        seen[key] += 1
    return passages


def _pieces(document: Document, settings: SplitSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    for section in sections(document.text, document.title):
        for piece in _section_pieces(document.text, section, settings):
            yield section.headings, piece


def _language_of(document: Document) -> Callable[[str], Language]:
    if document.language != "mixed":
        return lambda _: document.language
    from flywheel.collect.clean import detect_language

    return detect_language


def _short_hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


# Sizes

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{CJK}]")
# A run of 17 letters counts as two words: scripts without spaces, such as Thai, and encoded
# blobs would else count as nearly nothing.
_OTHER_WORD = re.compile(rf"[^\W{CJK}]{{1,16}}")
WORD_SIZE = 3


def size(text: str) -> int:
    """Length in Chinese characters; any other word counts as three of them."""
    return len(_CJK_CHARACTER.findall(text)) + WORD_SIZE * len(_OTHER_WORD.findall(text))


# Blocks: what is gathered into passages

_LONGEST_ARTICLE = 4
_LINE = re.compile(r"[^\n]+")
_ITEM = re.compile(
    r"\s*(?:[-*+•·●▪◦]\s|\d{1,3}[.)、．]\s?\S|[(（][一二三四五六七八九十\da-zA-Z]{1,3}[)）]"
    r"|[一二三四五六七八九十]{1,3}、|[a-zA-Z][.)]\s)"
)
_QUESTION = re.compile(r"\s*(?:\*\*)?(?:Q|Question|问|问题)\s*\d{0,3}\s*[:：.、]", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[。！？]|[.!?](?=\s)|\n")
_WINDOW = 8000
_FENCES = ("```", "~~~")
_CHINESE_STOP = ("。", "！", "？", "；", "：")


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, list entry, table or piece of one: what stays together."""

    start: int
    end: int
    size: int
    head: str = ""
    """A table's head, repeated in front."""
    opens: bool = False
    """It begins a passage of its own: a question of a FAQ, or a later part of a table."""
    leads: bool = False
    """It ends with a colon: what comes next belongs to it."""


def _section_pieces(text: str, section: Section, settings: SplitSettings) -> Iterator[str]:
    if section.article and _is_one_article(text, section, settings):
        article = text[section.start : section.end].strip()
        if article != section.headings[-1]:
            yield article
        return
    blocks = [
        fitting
        for start, end in _paragraphs(text, section.start, section.end)
        for fitting in _fit(text, start, end, settings)
        if fitting.size
    ]
    for group in _gather(blocks, settings):
        yield group[0].head + text[group[0].start : group[-1].end].strip()


def _is_one_article(text: str, section: Section, settings: SplitSettings) -> bool:
    """Not so when what follows a label is a document of its own: the label was a reference.

    The longest article in 3,475 Chinese statutes has 1,288 characters.
    """
    if section.end - section.start <= settings.max_size * _LONGEST_ARTICLE:
        return True
    return size(text[section.start : section.end]) <= settings.max_size * _LONGEST_ARTICLE


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of paragraphs, list entries, whole tables and whole code blocks."""
    opened: tuple[int, int] | None = None
    fence = ""
    for line in _LINE.finditer(text, start, end):
        if not line[0].strip():
            continue
        if opened and (fence or _continues(text, opened, line)):
            opened = (opened[0], line.end())
        else:
            if opened:
                yield opened
            opened = line.span()
        mark = line[0].lstrip()[:3]
        if mark in _FENCES:
            fence = "" if fence == mark else fence or mark
    if opened:
        yield opened


def _continues(text: str, opened: tuple[int, int], line: re.Match[str]) -> bool:
    start, end = opened
    in_table = text[start : start + 200].lstrip().startswith("|")
    if line.start() > end + 1 or in_table != _is_row(line[0]):
        return False
    if in_table:
        return True
    # The last characters say enough, and a long paragraph is not copied for each of its lines.
    before = text[max(start, end - 200) : end].rstrip()
    if before.endswith(_FENCES) or line[0].lstrip().startswith(_FENCES):
        return False
    starts_anew = _ITEM.match(line[0]) or _QUESTION.match(line[0])
    return not starts_anew and not before.endswith(_CHINESE_STOP)


def _is_table_rule(line: str) -> bool:
    return "-" in line and not line.strip(" \t|:-")


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def _fit(text: str, start: int, end: int, settings: SplitSettings) -> Iterator[_Block]:
    """The span as one block, or cut into blocks that are none too long."""
    content = text[start:end]
    total = size(content)
    if total <= settings.max_size:
        opens = bool(_QUESTION.match(content))
        leads = content.rstrip(" *_").endswith(("：", ":"))
        yield _Block(start, end, total, opens=opens, leads=leads)
    elif _is_row(content):
        yield from _cut_table(text, start, end, settings)
    else:
        yield from _cut_paragraph(text, start, end, settings.target_size, settings.max_size)


def _cut_table(text: str, start: int, end: int, settings: SplitSettings) -> Iterator[_Block]:
    """Runs of rows, each but the first with the table's head in front."""
    rows = [line.span() for line in _LINE.finditer(text, start, end)]
    num_head = 2 if len(rows) > 1 and _is_table_rule(text[slice(*rows[1])]) else 1
    head = text[start : rows[num_head - 1][1]] + "\n"
    # A head that fills half a passage is not worth repeating; it is then a row like others.
    if size(head) * 2 > settings.target_size or num_head == len(rows):
        head, num_head = "", 0
    room = settings.target_size - size(head)
    max_row = settings.max_size - size(head)
    first = rows[num_head][0]
    run: list[_Block] = []
    for row in (piece for span in rows[num_head:] for piece in _fit_row(text, span, max_row)):
        if not row.size:
            continue
        if run and _total(run) + row.size > room:
            yield _table_part(run, start, first, head)
            run = []
        run.append(row)
    yield _table_part(run, start, first, head)


def _fit_row(text: str, span: tuple[int, int], max_size: int) -> Iterator[_Block]:
    row_size = size(text[slice(*span)])
    if row_size <= max_size:
        yield _Block(*span, row_size)
    else:
        yield from _cut_paragraph(text, *span, max_size, max_size)


def _table_part(run: list[_Block], table_start: int, first: int, head: str) -> _Block:
    """Rows as one block. The first has the head in its own span, the later have it repeated."""
    total = _total(run) + size(head)
    if run[0].start == first:
        return _Block(table_start, run[-1].end, total)
    return _Block(run[0].start, run[-1].end, total, head=head, opens=True)


def _cut_paragraph(
    text: str, start: int, end: int, target_size: int, max_size: int
) -> Iterator[_Block]:
    """Whole sentences where they fit, each block filled up to the target size."""
    splitter = _splitter(target_size, max_size)
    for window_start, window_end in _windows(text, start, end):
        # A line break inside a sentence would end it for the splitter; a space of the same length
        # does not, and offsets stay true.
        content = re.sub(r"(?<![。！？；：.!?:;])\n", " ", text[window_start:window_end])
        for offset, piece in splitter.chunk_indices(content):
            at = window_start + offset
            yield _Block(at, at + len(piece), size(piece))


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans that end with a sentence where they can.

    The splitter measures all that is left for each piece: without windows half a million
    characters take 98 s.
    """
    while end - start > _WINDOW:
        stop = start + _WINDOW
        sentences = list(_SENTENCE_END.finditer(text, stop - _WINDOW // 4, stop))
        cut = sentences[-1].end() if sentences else stop
        yield start, cut
        start = cut
    yield start, end


@lru_cache(maxsize=64)
def _splitter(target: int, limit: int) -> TextSplitter:
    from semantic_text_splitter import TextSplitter

    return TextSplitter.from_callback(size, (target, limit))


def _gather(blocks: list[_Block], settings: SplitSettings) -> list[list[_Block]]:
    """Neighbouring blocks together up to the target size; a lead-in stays with what it leads to."""
    groups: list[list[_Block]] = []
    for block in blocks:
        last = groups[-1] if groups and not block.opens else []
        if last and _total(last) + block.size <= settings.target_size:
            last.append(block)
        elif last and last[-1].leads and last[-1].size + block.size <= settings.max_size:
            lead_in = last.pop()
            if not last:
                groups.pop()
            groups.append([lead_in, block])
        else:
            groups.append([block])
    return _without_short_tail(groups, settings)


def _without_short_tail(groups: list[list[_Block]], settings: SplitSettings) -> list[list[_Block]]:
    """A last group under a quarter of the target joins the one before it, where there is room."""
    if len(groups) < 2 or groups[-1][0].opens:
        return groups
    before, tail = groups[-2:]
    if _total(tail) * 4 > settings.target_size or _total(before + tail) > settings.max_size:
        return groups
    return [*groups[:-2], before + tail]


def _total(group: list[_Block]) -> int:
    return sum(block.size for block in group)
