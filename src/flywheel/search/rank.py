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
    asked = term_ids(question)
    scores = {}
    for hit in hits:
        names = name_terms(hit.passage)
        weights = frequencies.idf(names)
        named = float(weights[np.isin(names, asked)].sum()) / (float(weights.sum()) or 1.0)
        scores[hit.passage.id] = _lexical(hit) + NAMED_BONUS * best * named
    return scores


def _lexical(hit: Hit) -> float:
    return hit.features.get("words", 0.0) + hit.features.get("characters", 0.0)


def _ordered(hits: Sequence[Hit], scores: dict[str, float]) -> list[Hit]:
    scored = [replace(hit, score=scores[hit.passage.id]) for hit in hits]
    return sorted(scored, key=lambda hit: (-hit.score, hit.passage.id))
