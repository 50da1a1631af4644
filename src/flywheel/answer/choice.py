"""Which quotes make the answer, as learned from edits: how many, how long, in whose manner.

Of what the best passages offer, whole or in runs of sentences, drafts are made; trees that saw
what users wrote instead estimate what each is worth, and the best is given. Verbatim all the same:
the only words that are not the documents' own name the sources, and open the answer as most of the
users' own answers do.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.answer.quote import Draft, Quoter, Quotes, compose
from flywheel.answer.settings import QuoteSettings
from flywheel.records import Hit
from flywheel.search.index import remembered
from flywheel.search.question_field import MOST_VIEWS
from flywheel.search.terms import has_han
from flywheel.search.trees import Trees
from flywheel.search.vectors import TermMatrix, aligned, stacked

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.frequencies import Frequencies
    from flywheel.search.question_field import Neighbours, QuestionField
    from flywheel.search.terms import TermIds

    Floats = npt.NDArray[np.float64]

NUM_SINGLE = 5
"""Passages that are quoted alone."""
NUM_JOINED = 3
"""Passages that are quoted together with another."""
BUDGETS = (33.0, 60.0, 95.0)
"""Lengths of runs of sentences, in words, beside the whole passage."""

FEATURES = (
    "passages",
    "length",
    "first_chance",
    "second_chance",
    "chances",
    "least_chance",
    "best_chance",
    "first_place",
    "last_place",
    "coverage",
    "likeness",
    "told",
    "kept",
    "expected_length",
    "length_ratio",
    "start",
    "question_length",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What users' own answers hold, without their words: hashed terms and lengths."""

    ids: tuple[str, ...]
    """Of the examples that have an answer."""
    terms: tuple[TermIds, ...]
    lengths: tuple[float, ...]
    """In words, as `quote.num_words` counts them."""
    openings: tuple[tuple[str, str], ...] = ()
    """Language (`zh`, `en`) → how most of the answers begin, where most begin alike."""

    def only(self, ids: Collection[str]) -> Told:
        """What the answers of these examples hold; how most of all begin is no more than polite."""
        places = [place for place, id in enumerate(self.ids) if id in ids]
        return replace(
            self,
            ids=tuple(self.ids[place] for place in places),
            terms=tuple(self.terms[place] for place in places),
            lengths=tuple(self.lengths[place] for place in places),
        )

    def opening(self, question: str) -> str:
        """How an answer to this question begins; empty where users have no such manner."""
        return dict(self.openings).get("zh" if has_han(question) else "en", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the answer to a question should be like, going by the answers to those close to it."""

    terms: TermIds
    weights: Floats
    """A unit vector over the terms."""
    log_length: float


class Expectation:
    """Users' answers, ready to tell what a new one should be like."""

    def __init__(self, told: Told, frequencies: Frequencies) -> None:
        self._places = {id: place for place, id in enumerate(told.ids)}
        self._vectors = TermMatrix(stacked(told.terms, frequencies.idf))
        self._log_lengths = np.log1p(np.array(told.lengths))
        self._mean = float(self._log_lengths.mean()) if told.lengths else 0.0

    def of(self, near: Neighbours) -> Expected:
        """Each neighbour's answer weighs by its share (`Neighbours.shares`)."""
        known = [(at, self._places[id]) for at, id in enumerate(near.ids) if id in self._places]
        places = np.array([place for _, place in known], dtype=np.int64)
        shares = near.shares[[at for at, _ in known]]
        weights = self._vectors.summed(places, shares)
        unit = weights / max(float(np.linalg.norm(weights)), 1e-9)
        length = self._mean + float(shares @ (self._log_lengths[places] - self._mean))
        return Expected(terms=self._vectors.terms, weights=unit, log_length=length)


def drafts(hits: Sequence[Hit], quoter: Quoter) -> list[tuple[Quotes, ...]]:
    """What could be answered: quotes of each of the best passages, and some of two or three."""
    offers = [_offers(hit, quoter) for hit in hits[:NUM_SINGLE]]
    alone = [(each,) for offer in offers for each in offer]
    joined = [offer[:2] for offer in offers[:NUM_JOINED] if offer]
    pairs = [
        (one, other)
        for first, second in combinations(joined, 2)
        for one in first
        for other in second
    ]
    three = [tuple(offer[0] for offer in joined[:3])] if len(joined) >= 3 else []
    return [*alone, *pairs, *three]


def _offers(hit: Hit, quoter: Quoter) -> list[Quotes]:
    """The passage as a whole, then in shorter runs, each once."""
    found: dict[Any, Quotes] = {}
    for quotes in _runs(hit, quoter):
        if quotes.spans:
            found.setdefault(quotes.spans, quotes)
    return list(found.values())


def _runs(hit: Hit, quoter: Quoter) -> Iterator[Quotes]:
    whole = quoter.quote(hit.passage)
    yield whole
    for words in reversed(BUDGETS):
        if words < whole.words:
            yield quoter.quote(hit.passage, words)
            yield quoter.begin(hit.passage, words)


def features(
    of: Sequence[tuple[Quotes, ...]], hits: Sequence[Hit], quoter: Quoter, expected: Expected
) -> Floats:
    """What is known of each draft, float64 [D, len(FEATURES)]."""
    chances = {hit.passage.id: hit.score for hit in hits}
    places = {hit.passage.id: place for place, hit in enumerate(hits)}
    asked = float(np.log1p(len(quoter.terms)))
    best = max(chances.values(), default=0.0)
    rows = np.zeros((len(of), len(FEATURES)))
    for row, quotes in zip(rows, of, strict=True):
        ids = [each.passage.id for each in quotes]
        of_each = [chances[id] for id in ids]
        length = float(np.log1p(sum(each.words for each in quotes)))
        terms = _together([each.terms for each in quotes])
        likeness, told = _alike(terms, expected, quoter)
        row[:] = (
            len(quotes),
            length,
            of_each[0],
            of_each[1] if len(of_each) > 1 else 0.0,
            sum(of_each),
            min(of_each),
            best,
            places[ids[0]],
            places[ids[-1]],
            quoter.coverage(terms),
            likeness,
            told,
            sum(each.share for each in quotes) / len(quotes),
            expected.log_length,
            length - expected.log_length,
            quotes[0].spans[0].start > 0,
            asked,
        )
    return rows


def _together(terms: Sequence[TermIds]) -> TermIds:
    return terms[0] if len(terms) == 1 else np.unique(np.concatenate(terms))


def _alike(terms: TermIds, expected: Expected, quoter: Quoter) -> tuple[float, float]:
    """The draft's cosine with the expected answer, and how much of that answer it holds."""
    weights = quoter.idf(terms)
    told = float(aligned(expected.terms, expected.weights, terms) @ weights)
    return told / max(float(np.linalg.norm(weights)), 1e-9), told


class LearnedChoice:
    """A version's learned choice of quotes, beside its learned order."""

    def __init__(
        self, told: Told, trees: Trees, frequencies: Frequencies, settings: QuoteSettings
    ) -> None:
        self._told, self._trees = told, trees
        self._frequencies, self._settings = frequencies, settings
        self._expectation = Expectation(told, frequencies)
        self._views: dict[QuestionField, LearnedChoice] = {}

    def of(self, field: QuestionField) -> LearnedChoice:
        """What of it a reader may see, as if nothing else had been told.

        Args:
            field: what he may see of the questions.
        """
        return remembered(self._views, field, self._seen_with, MOST_VIEWS)

    def _seen_with(self, field: QuestionField) -> LearnedChoice:
        frequencies = field.statistics.frequencies
        told = self._told.only({each.id for each in field.questions})
        if frequencies is self._frequencies and len(told.ids) == len(self._told.ids):
            return self
        return LearnedChoice(told, self._trees, frequencies, self._settings)

    def draft(self, near: Neighbours, hits: Sequence[Hit]) -> Draft:
        """The draft of most worth; empty where nothing was found."""
        quoter = Quoter(near.question, self._frequencies, self._settings)
        of = drafts(hits, quoter)
        if not of:
            return Draft(text="", citations=())
        expected = self._expectation.of(near)
        worth = self._trees.score(features(of, hits, quoter, expected))
        return composed(of[int(np.argmax(worth))], self._told.opening(near.question))

    def save(self, folder: Path) -> None:
        """Hashed terms and lengths of the answers, how they open, and the trees."""
        about = {
            "ids": list(self._told.ids),
            "lengths": list(self._told.lengths),
            "openings": list(self._told.openings),
        }
        (folder / "told.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        empty = np.zeros(0, dtype=np.int64)
        np.savez(
            folder / "told.npz",
            terms=np.concatenate([empty, *self._told.terms]),
            lengths=np.array([len(each) for each in self._told.terms], dtype=np.int64),
        )
        self._trees.save(folder / "trees.npz")

    @classmethod
    def load(cls, folder: Path, frequencies: Frequencies, settings: QuoteSettings) -> LearnedChoice:
        """What `save` wrote."""
        about = json.loads((folder / "told.json").read_text(encoding="utf-8"))
        with np.load(folder / "told.npz", allow_pickle=False) as data:
            terms = np.split(data["terms"], np.cumsum(data["lengths"])[:-1])
        told = Told(
            ids=tuple(about["ids"]),
            terms=tuple(terms),
            lengths=tuple(about["lengths"]),
            openings=tuple((language, text) for language, text in about["openings"]),
        )
        return cls(told, Trees.load(folder / "trees.npz"), frequencies, settings)


def composed(quotes: Sequence[Quotes], opening: str) -> Draft:
    """The quotes as a draft."""
    citations = tuple(citation for each in quotes for citation in each.citations)
    return Draft(text=opening + compose(citations), citations=citations)
