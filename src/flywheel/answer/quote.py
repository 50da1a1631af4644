"""Answers with the documents' own sentences: verbatim, each an exact span of its passage.

The best passage is quoted whole where it is short, as an article of a statute mostly is; from a
longer one the run of sentences that covers most of the question. Nothing is rephrased: the only
words that are not the documents' own name the source in front of each quote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from flywheel.records import Citation, Hit, Passage, StageSettings
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import HAN_RUN, LATIN_WORD, term_ids

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.terms import TermIds

_CLOSERS = r"[”’」』\"')）\]]*"
_SENTENCE = re.compile(
    rf"""
    ^[ \t]*\|[^\n]*  # a table row, whatever marks it holds
    |(?:[^\n。！？；.!?;]
        |(?<=\b[A-Za-z])\.|(?<=^\d)\.|(?<=^\d\d)\.  # e.g., U.S., the number of a list item
        |[.!?;](?![.!?;]*{_CLOSERS}(?:\s|[^\x00-\x7f]|$))  # 2.5 bar, an address
    )+(?:[。！？；.!?;]+{_CLOSERS})?
    |[。！？；.!?;]+{_CLOSERS}
    """,
    re.MULTILINE | re.VERBOSE,
)
_ARTICLE = re.compile(r"第\S{1,12}条(之\S{1,3})?")
_LABEL = re.compile(
    rf"{_ARTICLE.pattern}|(?:Article|Art\.|Section|Sec\.|§)\s*[\dIVXLC]+[a-z]?", re.IGNORECASE
)
_TABLE_ROW = re.compile(r"\s*\|")
HAN_CHARACTERS_PER_WORD = 1.8
"""An English word says about as much as 1.8 Han characters: one budget serves both."""
NEARLY_AS_GOOD = 0.8
"""Of the best passage's score; a second passage from here on adds as often as it distracts."""


class QuoteSettings(StageSettings):
    """How much of the documents an answer quotes."""

    max_words: int = Field(default=250, ge=20, le=400)
    """Longest quote, in English words; a Chinese one has 1.8 characters for each."""
    short_words: int = Field(default=85, ge=0, le=400)
    """The next best passage joins the best, if it is nearly as good and both stay under this."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of a passage's text."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """The best answer before deciding to give it."""

    text: str
    citations: tuple[Citation, ...]


def draft(
    question: str, hits: Sequence[Hit], frequencies: Frequencies, settings: QuoteSettings
) -> Draft:
    """Quotes what answers the question from the best hits; empty where there is none."""
    if not hits:
        return Draft(text="", citations=())
    weights = _Weights(question, frequencies)
    citations: list[Citation] = []
    length = 0.0
    for hit in hits[:2]:
        spans = choose(hit.passage, weights, settings.max_words)
        words = sum(num_words(hit.passage.text[span.start : span.end]) for span in spans)
        is_as_good = hit.score >= NEARLY_AS_GOOD * hits[0].score
        if citations and not (is_as_good and length + words <= settings.short_words):
            break
        citations.extend(_cite(hit.passage, span) for span in spans)
        length += words
    return Draft(text=compose(citations), citations=tuple(citations))


def num_words(text: str) -> float:
    """Length in English words; Han characters count for a part of one."""
    han = sum(len(run) for run in HAN_RUN.findall(text))
    return len(LATIN_WORD.findall(text)) + han / HAN_CHARACTERS_PER_WORD


def sentences(text: str) -> list[Span]:
    """The text's sentences, list items and table rows, in order, without surrounding space."""
    spans = []
    for match in _SENTENCE.finditer(text):
        piece = match.group()
        if stripped := piece.strip():
            start = match.start() + piece.index(stripped[0])
            spans.append(Span(start, start + len(stripped)))
    return spans


class _Weights:
    """What each term of the question weighs."""

    def __init__(self, question: str, frequencies: Frequencies) -> None:
        self.terms: TermIds = term_ids(question)
        self.idf: npt.NDArray[np.float64] = frequencies.idf(self.terms)

    def covered(self, text: str) -> npt.NDArray[np.bool_]:
        return np.isin(self.terms, term_ids(text), assume_unique=True)


def choose(passage: Passage, weights: _Weights, max_words: float) -> list[Span]:
    """The spans to quote: the whole passage, or its best run of sentences."""
    spans = sentences(passage.text)
    if not spans:
        return []
    spans = _without_label(passage, spans) or spans
    if num_words(passage.text) <= max_words:
        return [Span(spans[0].start, spans[-1].end)]
    first, last = _best_run(passage.text, spans, weights, max_words)
    run = Span(spans[first].start, spans[last].end)
    header = _table_header(passage.text, spans, first)
    return [header, run] if header else [run]


def _without_label(passage: Passage, spans: list[Span]) -> list[Span]:
    """Drops an article's number from its text's beginning: it is named before the quote."""
    label = passage.headings[-1] if passage.headings else ""
    if not _LABEL.fullmatch(label) or not passage.text.startswith(label, spans[0].start):
        return spans
    after = spans[0].start + len(label)
    start = after
    while start < spans[0].end and passage.text[start] in " \t\u3000:：.":
        start += 1
    if start == after and start < spans[0].end:  # the sentence only begins with the heading's words
        return spans
    rest = spans[1:]
    return [Span(start, spans[0].end), *rest] if start < spans[0].end else rest


def _best_run(text: str, spans: list[Span], weights: _Weights, max_words: float) -> tuple[int, int]:
    """The run of sentences within the budget that covers most of the question.

    Of equals the earlier and longer one, since a section says first what it is about.
    """
    covered = [weights.covered(text[span.start : span.end]) for span in spans]
    lengths = [num_words(text[span.start : span.end]) for span in spans]
    best, best_gain = (0, 0), -1.0
    for first in range(len(spans)):
        total, seen = 0.0, np.zeros(len(weights.terms), dtype=bool)
        for last in range(first, len(spans)):
            total += lengths[last]
            if total > max_words and last > first:
                break
            seen |= covered[last]
            gain = float(weights.idf[seen].sum()) + 1e-3 * total / max_words
            if gain > best_gain:
                best, best_gain = (first, last), gain
    return best


def _table_header(text: str, spans: list[Span], first: int) -> Span | None:
    """The header row of the table that a run begins in, unless the run has it."""
    if not _TABLE_ROW.match(text, spans[first].start):
        return None
    top = first
    while top > 0 and _TABLE_ROW.match(text, spans[top - 1].start):
        top -= 1
    return spans[top] if top < first else None


def _cite(passage: Passage, span: Span) -> Citation:
    return Citation(
        document=passage.document,
        title=passage.title,
        headings=passage.headings,
        passage=passage.id,
        quote=passage.text[span.start : span.end],
        start=span.start,
        end=span.end,
    )


def compose(citations: Sequence[Citation]) -> str:
    """The quotes as one text, each passage's source named once before its first quote."""
    parts: list[str] = []
    previous = ""
    for citation in citations:
        lead = "" if citation.passage == previous else source_name(citation)
        parts.append(lead + citation.quote)
        previous = citation.passage
    return "\n".join(parts)


def source_name(citation: Citation) -> str:
    """`《民法典》第九百六十七条：` or `Charging at home, Timers:`, by the quote's language."""
    heading = citation.headings[-1] if citation.headings else ""
    if HAN_RUN.search(citation.quote):
        rules = "规定" if _ARTICLE.fullmatch(heading) else ""
        return f"根据《{citation.title}》{heading}{rules}：\n"
    return f"{citation.title}, {heading}:\n" if heading else f"{citation.title}:\n"
