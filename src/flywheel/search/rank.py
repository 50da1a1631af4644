"""Hits → their order.

Full-text fields are on one scale (BM25), and their sum is a good order; a passage whose title and
headings are what the question is about gets a bonus. Measured on questions that no exam holds
(docs/log.md). Similarities of vectors are on another scale, so that the two orders are merged by
reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009, k = 60).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flywheel.records import Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.terms import TermIds

NAMES_BONUS = 0.2
"""Of the best score, for a passage all of whose title and headings the question names."""
HEADING_BONUS = 0.1
"""The same for its innermost heading alone: short questions are often just that."""
RECIPROCAL_RANK_K = 60


def rank(question: str, hits: Sequence[Hit], frequencies: Frequencies) -> list[Hit]:
    """The hits, best first, with the score that they are ordered by; ties by passage id."""
    by_text = _ordered(hits, _by_text(question, hits, frequencies))
    if not any("similarity" in hit.features for hit in hits):
        return by_text
    # An order holds what its own search found: elsewhere a hit would get a place by its id.
    with_terms = [hit for hit in by_text if _lexical(hit) > 0]
    alike = [hit for hit in hits if "similarity" in hit.features]
    by_meaning = _ordered(alike, {hit.passage.id: hit.features["similarity"] for hit in alike})
    merged = {hit.passage.id: 0.0 for hit in hits}
    for order in (with_terms, by_meaning):
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
    all_names = _shares([name_terms(hit.passage) for hit in hits], asked, frequencies)
    innermost = _shares([_innermost_terms(hit.passage) for hit in hits], asked, frequencies)
    return {
        hit.passage.id: _lexical(hit) + best * (NAMES_BONUS * names + HEADING_BONUS * heading)
        for hit, names, heading in zip(hits, all_names, innermost, strict=True)
    }


def _innermost_terms(passage: Passage) -> TermIds:
    return _name_terms(passage.headings[-1:] or (passage.title,))


def _shares(names: list[TermIds], asked: TermIds, frequencies: Frequencies) -> list[float]:
    """For each of the names, the share of its weight that is asked for."""
    if not names:
        return []
    # All hits in one pass: one by one this took longer than the search.
    terms = np.concatenate(names)
    owners = np.repeat(np.arange(len(names)), [len(each) for each in names])
    weights = frequencies.idf(terms)
    held = np.bincount(owners, weights * among(terms, asked), len(names))
    total = np.bincount(owners, weights, len(names))
    shares: list[float] = (held / np.maximum(total, 1e-9)).tolist()
    return shares


def among(terms: TermIds, asked: TermIds) -> npt.NDArray[np.bool_]:
    """Which of the terms are asked for; `numpy.isin` takes three times as long.

    Args:
        asked: sorted, as `term_ids` gives them.
    """
    if not len(asked):
        return np.zeros(len(terms), dtype=np.bool_)
    places = np.minimum(np.searchsorted(asked, terms), len(asked) - 1)
    found: npt.NDArray[np.bool_] = asked[places] == terms
    return found


def _lexical(hit: Hit) -> float:
    return hit.features.get("words", 0.0) + hit.features.get("characters", 0.0)


def _ordered(hits: Sequence[Hit], scores: dict[str, float]) -> list[Hit]:
    scored = [
        Hit(passage=hit.passage, score=scores[hit.passage.id], features=hit.features)
        for hit in hits
    ]
    return sorted(scored, key=lambda hit: (-hit.score, hit.passage.id))
