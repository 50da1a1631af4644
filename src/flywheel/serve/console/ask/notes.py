"""Answers with their citations as footnotes, and passages with a quote marked: as HTML.

The numbers and marks are set into the Markdown as characters that no text holds (of Unicode's
private use, taken out of it first), and become elements once the text itself is rendered and
escaped. So nothing that a document or a model says becomes an element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from markupsafe import Markup

from flywheel.answer.prompt import MARK
from flywheel.records import Citation
from flywheel.serve.console.markup import markdown

_NOTE, _NOTE_END, _MARK, _MARK_END = "\ue000", "\ue001", "\ue002", "\ue003"
_OWN = re.compile("[\ue000-\ue003]")
_WHOLE = re.compile(rf"{_NOTE}\d+{_NOTE_END}|[{_MARK}{_MARK_END}]")
_TAG_OR_OWN = re.compile(rf"<[^>]*>|{_NOTE}(\d+){_NOTE_END}|[{_MARK}{_MARK_END}]")
_PREFIX = re.compile(r"\s*(?:(?:[-*+•>]|#{1,6}|\d{1,3}[.)])\s+)*")
_CELL = re.compile(r"[^|]+")
_RULE = re.compile(r"[\s|:-]*")


def noted(text: str, citations: Sequence[Citation], links: Sequence[Markup]) -> Markup:
    """An answer with the number of each citation behind what it quotes.

    Where the quote is not found, the number stands at the end.

    Args:
        links: what is put in the place of each number.
    """
    text = _OWN.sub("", text)
    placed: set[int] = set()
    if MARK.search(text):
        text = _numbered(text, len(citations), placed)
    text = _behind_quotes(text, citations, placed)
    rest = [number for number in range(1, len(citations) + 1) if number not in placed]
    if rest:
        joint = "\n\n" if text.rstrip().rpartition("\n")[2].lstrip().startswith("|") else " "
        text = text.rstrip() + joint + "".join(map(_note, rest))
    shown = {str(number): link for number, link in enumerate(links, start=1)}
    return _replaced(markdown(text), lambda match: shown[match[1]])


def _numbered(text: str, num: int, placed: set[int]) -> str:
    """A model's own marks as notes, where they name citations that there are."""

    def note(match: re.Match[str]) -> str:
        numbers = [int(each) for each in re.findall(r"\d{1,3}", match[1])]
        if not numbers or not all(1 <= each <= num for each in numbers):
            return match[0]
        placed.update(numbers)
        return "".join(map(_note, numbers))

    return MARK.sub(note, text)


def _behind_quotes(text: str, citations: Sequence[Citation], placed: set[int]) -> str:
    ends: list[tuple[int, int]] = []
    start = 0
    for number, citation in enumerate(citations, start=1):
        quote = _OWN.sub("", citation.quote).strip()
        found = text.find(quote, start) if quote and number not in placed else -1
        if found < 0 and number not in placed:
            found = text.find(quote) if quote else -1
        if found < 0:
            continue
        start = found + len(quote)
        # A number behind the last bar of a table's row would be a cell of its own.
        if not text[: start + 1].rpartition("\n")[2].lstrip().startswith("|"):
            ends.append((start, number))
            placed.add(number)
    for end, number in sorted(ends, reverse=True):
        text = text[:end] + _note(number) + text[end:]
    return text


def _note(number: int) -> str:
    return f"{_NOTE}{number}{_NOTE_END}"


def marked(text: str, start: int, end: int) -> Markup:
    """A passage with a span of it marked, line by line, since no mark reaches over paragraphs.

    Args:
        start, end: in code points; an empty span marks nothing.
    """
    text = _OWN.sub(" ", text)  # each as long as before
    for low, high in reversed(list(_pieces(text, start, end))):
        text = f"{text[:low]}{_MARK}{text[low:high]}{_MARK_END}{text[high:]}"
    elements = {_MARK: "<mark>", _MARK_END: "</mark>"}
    return _replaced(markdown(text), lambda match: elements[match[0]])


def _replaced(html: Markup, element: Callable[[re.Match[str]], str]) -> Markup:
    """What was set into a text as the elements that it stands for, and within tags as nothing."""

    def shown(match: re.Match[str]) -> str:
        is_tag = match[0].startswith("<")
        return _WHOLE.sub("", match[0]) if is_tag else str(element(match))

    return Markup(_TAG_OR_OWN.sub(shown, str(html)))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    place = 0
    for line in text.splitlines(keepends=True):
        line_start, line_end = place, place + len(line.rstrip())
        place += len(line)
        low, high = max(start, line_start), min(end, line_end)
        if low >= high:
            continue
        for piece_start, piece_end in _within(line.rstrip(), line_start):
            if max(low, piece_start) < min(high, piece_end):
                yield max(low, piece_start), min(high, piece_end)


def _within(line: str, start: int) -> Iterable[tuple[int, int]]:
    """Where a line's words are: not its bullets, bars and rules."""
    if not line.lstrip().startswith("|"):
        prefix = _PREFIX.match(line)
        yield start + (prefix.end() if prefix else 0), start + len(line)
    elif not _RULE.fullmatch(line):
        for cell in _CELL.finditer(line):
            words = cell.group().strip()
            if words:
                first = start + cell.start() + cell.group().index(words)
                yield first, first + len(words)
