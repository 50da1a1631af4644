"""Hits → their order.

Full-text fields are on one scale (BM25), and their sum is a good order; a passage whose title and
headings are what the question is about gets a bonus. Measured on questions that no exam holds
(docs/log.md). Similarities of vectors are on another scale, so that the two orders are merged by
reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009, k = 60).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flywheel.records import Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

if TYPE_CHECKING:
    from flywheel.search.terms import TermIds

NAMED_BONUS = 0.2
"""Of the best score, for a passage all of whose title and headings the question names."""
RECIPROCAL_RANK_K = 60


def rank(question: str, hits: Sequence[Hit], frequencies: Frequencies) -> list[Hit]:
    """The hits, best first, with the score that they are ordered by; ties by passage id."""
    by_text = _ordered(hits, _by_text(question, hits, frequencies))
    if not any("similarity" in hit.features for hit in hits):
        return by_text
    similar = {hit.passage.id: hit.features.get("similarity", -1.0) for hit in hits}
    by_meaning = _ordered(hits, similar)
    merged: dict[str, float] = dict.fromkeys(similar, 0.0)
    for order in (by_text, by_meaning):
        for place, hit in enumerate(order, start=1):
            merged[hit.passage.id] += 1 / (RECIPROCAL_RANK_K + place)
    return _ordered(hits, merged)


def name_terms(passage: Passage) -> TermIds:
    """The terms of a passage's title and headings."""
    return _name_terms((passage.title, *passage.headings))


@lru_cache(maxsize=50_000)
def _name_terms(names: tuple[str, ...]) -> TermIds:
    return term_ids("\n".join(names))


def _by_text(question: str, hits: Sequence[Hit], frequencies: Frequencies) -> dict[str, float]:
    best = max((_lexical(hit) for hit in hits), default=0.0)
    named = _named(question, hits, frequencies)
    return {
        hit.passage.id: _lexical(hit) + NAMED_BONUS * best * share
        for hit, share in zip(hits, named, strict=True)
    }


def _named(question: str, hits: Sequence[Hit], frequencies: Frequencies) -> list[float]:
    """For each hit, the share of its title's and headings' weight that the question holds."""
    if not hits:
        return []
    names = [name_terms(hit.passage) for hit in hits]
    # All hits in one pass: one by one this took longer than the search.
    terms = np.concatenate(names)
    owners = np.repeat(np.arange(len(names)), [len(each) for each in names])
    weights = frequencies.idf(terms)
    asked = np.bincount(owners, weights * np.isin(terms, term_ids(question)), len(names))
    total = np.bincount(owners, weights, len(names))
    shares: list[float] = (asked / np.maximum(total, 1e-9)).tolist()
    return shares


def _lexical(hit: Hit) -> float:
    return hit.features.get("words", 0.0) + hit.features.get("characters", 0.0)


def _ordered(hits: Sequence[Hit], scores: dict[str, float]) -> list[Hit]:
    scored = [replace(hit, score=scores[hit.passage.id]) for hit in hits]
    return sorted(scored, key=lambda hit: (-hit.score, hit.passage.id))
