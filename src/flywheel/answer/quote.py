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

from flywheel.answer.settings import QuoteSettings
from flywheel.records import Citation, Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import HAN_RUN, LATIN_WORD, term_ids
from flywheel.search.vectors import aligned

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Quotes:
    """What an answer may quote of one passage."""

    passage: Passage
    spans: tuple[Span, ...]
    words: float
    """Length, as `num_words` counts it."""
    share: float
    """Of the passage's length."""
    terms: TermIds

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The spans as citations."""
        return tuple(cite(self.passage, span) for span in self.spans)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sentences:
    """A passage's sentences, without an article's number at the beginning."""

    spans: tuple[Span, ...]
    words: tuple[float, ...]
    """The length of each."""
    terms: tuple[TermIds, ...]
    asked: tuple[frozenset[int], ...]
    """The question's terms that each holds."""
    all_words: float
    """The length of the passage."""


class Quoter:
    """Quotes passages for one question; each is read once."""

    def __init__(self, question: str, frequencies: Frequencies, settings: QuoteSettings) -> None:
        self.terms: TermIds = term_ids(question)
        self.idf = frequencies.idf
        self._weights: npt.NDArray[np.float64] = frequencies.idf(self.terms)
        self._weight_of = dict(zip(self.terms.tolist(), self._weights.tolist(), strict=True))
        self._settings = settings
        self._read: dict[str, _Sentences] = {}

    def draft(self, hits: Sequence[Hit]) -> Draft:
        """The best hit quoted, with the next one where both are good and short."""
        citations: list[Citation] = []
        length = 0.0
        for hit in hits[:2]:
            quotes = self.quote(hit.passage)
            is_as_good = hit.score >= NEARLY_AS_GOOD * hits[0].score
            is_short = length + quotes.words <= self._settings.short_words
            if citations and not (is_as_good and is_short):
                break
            citations.extend(quotes.citations)
            length += quotes.words
        return Draft(text=compose(citations), citations=tuple(citations))

    def quote(self, passage: Passage, max_words: float | None = None) -> Quotes:
        """The whole passage, or its best run of sentences within a length."""
        limit = max_words if max_words is not None else self._settings.max_words
        read = self._sentences(passage)
        last = len(read.spans) - 1
        if read.all_words <= limit:
            return _quotes(passage, read, 0, last)
        return _quotes(passage, read, *self._best_run(read, limit))

    def begin(self, passage: Passage, max_words: float) -> Quotes:
        """The passage's first sentences: as many as a length holds, and one at least."""
        read = self._sentences(passage)
        total, last = 0.0, 0
        for place, words in enumerate(read.words):
            total += words
            if total > max_words and place:
                break
            last = place
        return _quotes(passage, read, 0, last)

    def coverage(self, terms: TermIds) -> float:
        """The share of the question's weight that these terms hold."""
        asked = aligned(self.terms, self._weights, terms)
        return float(asked.sum()) / (float(self._weights.sum()) or 1.0)

    def _sentences(self, passage: Passage) -> _Sentences:
        if passage.id not in self._read:
            spans = sentences(passage.text)
            spans = (_without_label(passage, spans) or spans) if spans else []
            texts = [passage.text[span.start : span.end] for span in spans]
            terms = tuple(map(term_ids, texts))
            self._read[passage.id] = _Sentences(
                spans=tuple(spans),
                words=tuple(map(num_words, texts)),
                terms=terms,
                asked=tuple(frozenset(self._weight_of.keys() & each.tolist()) for each in terms),
                all_words=num_words(passage.text),
            )
        return self._read[passage.id]

    def _best_run(self, read: _Sentences, max_words: float) -> tuple[int, int]:
        """The run of sentences within the budget that covers most of the question.

        Of equals the earlier and longer one, since a section says first what it is about.
        """
        best, best_gain = (0, 0), -1.0
        for first in range(len(read.spans)):
            total, weight, seen = 0.0, 0.0, set[int]()
            for last in range(first, len(read.spans)):
                total += read.words[last]
                if total > max_words and last > first:
                    break
                weight += sum(self._weight_of[term] for term in sorted(read.asked[last] - seen))
                seen |= read.asked[last]
                gain = weight + 1e-3 * total / max_words
                if gain > best_gain:
                    best, best_gain = (first, last), gain
        return best


def draft(
    question: str, hits: Sequence[Hit], frequencies: Frequencies, settings: QuoteSettings
) -> Draft:
    """Quotes what answers the question from the best hits; empty where there is none."""
    return Quoter(question, frequencies, settings).draft(hits)


def _quotes(passage: Passage, read: _Sentences, first: int, last: int) -> Quotes:
    """The run from one sentence to another, behind the header of the table that it begins in."""
    if not read.spans:
        nothing = np.zeros(0, dtype=np.int64)
        return Quotes(passage=passage, spans=(), words=0.0, share=0.0, terms=nothing)
    run = Span(read.spans[first].start, read.spans[last].end)
    header = _table_header(passage.text, read.spans, first)
    quoted = [*([] if header is None else [header]), *range(first, last + 1)]
    words = sum(read.words[place] for place in quoted)
    return Quotes(
        passage=passage,
        spans=(run,) if header is None else (read.spans[header], run),
        words=words,
        share=words / max(read.all_words, 1.0),
        terms=np.unique(np.concatenate([read.terms[place] for place in quoted])),
    )


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


def _table_header(text: str, spans: Sequence[Span], first: int) -> int | None:
    """The header row of the table that a run begins in, unless the run has it."""
    if not _TABLE_ROW.match(text, spans[first].start):
        return None
    top = first
    while top > 0 and _TABLE_ROW.match(text, spans[top - 1].start):
        top -= 1
    return top if top < first else None


def cite(passage: Passage, span: Span) -> Citation:
    """A run of a passage's text as a citation."""
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
