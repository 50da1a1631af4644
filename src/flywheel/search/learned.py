"""The order that a version learned from feedback: features of each candidate, and trees over them.

A question never sees its own feedback while the trees are fitted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.records import Example, Hit, Passage, from_json, to_json
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.question_field import Neighbours, QuestionField
from flywheel.search.rank import name_terms
from flywheel.search.terms import has_han
from flywheel.search.trees import Trees
from flywheel.search.vectors import Projector, aligned

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.terms import TermIds

    Floats = npt.NDArray[np.float64]

NUM_FOUND = 70
"""Of what the search found, the best so many become candidates; more cost time and gain nothing."""
NUM_SIMILAR = 30
"""Neighbours whose passages become candidates, too; as many more rank a little worse."""
NUM_PREDICTING = 30
"""Neighbours whose passages say, by squared likeness, what the right passage would look like."""
UNPLACED = 150
"""The place of a candidate that the search did not find."""

FEATURES = (
    "words",
    "characters",
    "score",
    "place",
    "closest_question",
    "closest_three",
    "all_questions",
    "num_questions",
    "document_questions",
    "section_questions",
    "neighbour_questions",
    "popularity",
    "length",
    "strength",
    "best_similarity",
    "question_length",
    "closest_rejected",
    "predicted",
    "cosine",
    "coverage",
    "named",
    "meaning",
    "language",
    "regressed_likeness",
    "regressed_strength",
    "regressed_share",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A passage that may answer: found by the search, or by a learned question."""

    passage: Passage
    hit: Hit | None


def candidates(field: QuestionField, near: Neighbours, hits: Sequence[Hit]) -> list[Candidate]:
    """What may answer: what the search found, and what the closest questions led to."""
    hits = hits[:NUM_FOUND]
    found = {hit.passage.id for hit in hits}
    linked = dict.fromkeys(
        id for place in near.places[:NUM_SIMILAR].tolist() for id in field.questions[place].passages
    )
    others = (field.passages.get(id) for id in linked if id not in found)
    return [
        *(Candidate(passage=hit.passage, hit=hit) for hit in hits),
        *(Candidate(passage=each, hit=None) for each in others if each),
    ]


def features(field: QuestionField, near: Neighbours, of: Sequence[Candidate]) -> Floats:
    """What is known of each candidate, float64 [C, len(FEATURES)].

    Args:
        of: as `candidates` gives them: those that the search found come first, best first.
    """
    rows = np.zeros((len(of), len(FEATURES)))
    rows[:, :17] = _searched_and_linked(field, near, of)
    rows[:, 17:] = _compared(field, near, of)
    return rows


def _searched_and_linked(field: QuestionField, near: Neighbours, of: Sequence[Candidate]) -> Floats:
    hits = [each.hit for each in of if each.hit]
    links = _links(field, near)
    rejected = _rejected(field, near)
    popularity = field.popularity(near)
    around = _Surroundings(links, field.passages)
    places = {hit.passage.id: place for place, hit in enumerate(hits)}
    best_words = _best(hits, "words")
    best_characters = _best(hits, "characters")
    best_score = max((hit.score for hit in hits), default=0.0) or 1.0
    strength = best_words / math.sqrt(max(len(near.terms), 1))
    closest = float(near.similarities[0]) if len(near.places) else 0.0
    rows: list[tuple[float, ...]] = []
    for each in of:
        passage, hit = each.passage, each.hit
        linked = sorted(links.get(passage.id, [0.0]), reverse=True)
        rows.append(
            (
                hit.features.get("words", 0.0) / best_words if hit else 0.0,
                hit.features.get("characters", 0.0) / best_characters if hit else 0.0,
                hit.score / best_score if hit else 0.0,
                math.log1p(places.get(passage.id, UNPLACED)),
                linked[0],
                sum(linked[:3]),
                sum(each * each for each in linked),
                len(linked) if passage.id in links else 0,
                around.document(passage),
                around.section(passage),
                around.neighbour(passage),
                math.log1p(popularity.get(passage.id, 0.0)),
                math.log1p(len(passage.text)),
                strength,
                closest,
                math.log1p(len(near.terms)),
                rejected.get(passage.id, 0.0),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(of), 17)


def _links(field: QuestionField, near: Neighbours) -> dict[str, list[float]]:
    """How close the questions that led to a passage are, by passage."""
    links: dict[str, list[float]] = {}
    similarities = near.similarities[:NUM_SIMILAR].tolist()
    for place, similarity in zip(near.places[:NUM_SIMILAR].tolist(), similarities, strict=True):
        for passage in field.questions[place].passages:
            links.setdefault(passage, []).append(similarity)
    return links


def _rejected(field: QuestionField, near: Neighbours) -> dict[str, float]:
    """How close the closest question is for which a passage was found wrong, by passage."""
    found: dict[str, float] = {}
    for place, similarity in zip(near.places.tolist(), near.similarities.tolist(), strict=True):
        for passage in field.questions[place].rejected:
            found.setdefault(passage, similarity)  # the closest comes first
    return found


def _compared(field: QuestionField, near: Neighbours, of: Sequence[Candidate]) -> Floats:
    """From `predicted` on, float64 [C, 9].

    predicted: cosine with the passages that the closest questions led to, each weighted by its
    question's squared similarity. meaning: the cosine of an embedding model, 0 without one.
    language: whether the passage is in the question's. regressed: as predicted, with each weighted
    by its share, as a cosine and as it is; and the shares of the questions that led to the passage
    itself.
    """
    vectors = Projector(field.statistics.vectors.of_passages([each.passage.id for each in of]))
    idf = field.statistics.frequencies.idf(near.terms)
    asked = idf / (float(idf.sum()) or 1.0)
    predicted = field.led_to(near, near.similarities[:NUM_PREDICTING] ** 2)
    regressed = field.led_to(near, near.shares)
    strength = vectors.products(*regressed)
    share = _shares(field, near)
    return np.stack(
        [
            vectors.products(*predicted) / _norm(predicted[1]),
            vectors.products(near.terms, near.weights),
            vectors.held(near.terms, asked),
            _named([name_terms(each.passage) for each in of], near.terms, asked),
            np.array([_meaning(each) for each in of]),
            _is_spoken(near.question, of),
            strength / _norm(regressed[1]),
            strength,
            np.array([share.get(each.passage.id, 0.0) for each in of]),
        ],
        axis=1,
    )


def _meaning(candidate: Candidate) -> float:
    return candidate.hit.features.get("similarity", 0.0) if candidate.hit else 0.0


def _is_spoken(question: str, of: Sequence[Candidate]) -> Floats:
    languages = ("zh-hans", "zh-hant", "mixed") if has_han(question) else ("en", "other", "mixed")
    return np.array([each.passage.language in languages for each in of], dtype=np.float64)


def _norm(weights: Floats) -> float:
    return max(float(np.linalg.norm(weights)), 1e-9)


def _named(names: list[TermIds], terms: TermIds, asked: Floats) -> Floats:
    """The share of the question's weight that each candidate's title and headings hold."""
    if not names:
        return np.zeros(len(names))
    held = aligned(terms, asked, np.concatenate(names))
    owners = np.repeat(np.arange(len(names)), [len(each) for each in names])
    return np.bincount(owners, held, len(names)).astype(np.float64)


def _shares(field: QuestionField, near: Neighbours) -> dict[str, float]:
    """The shares of the questions that led to a passage, by passage."""
    shares: dict[str, float] = {}
    for place, share in zip(near.places.tolist(), near.shares.tolist(), strict=True):
        passages = field.questions[place].passages
        for passage in passages:
            shares[passage] = shares.get(passage, 0.0) + share / len(passages)
    return shares


class _Surroundings:
    """How close the learned questions came to a passage's document, section and neighbours."""

    def __init__(self, links: dict[str, list[float]], places: dict[str, Passage]) -> None:
        self._documents: dict[str, float] = {}
        self._sections: dict[tuple[str, ...], float] = {}
        self._neighbours: dict[tuple[str, int], float] = {}
        for id, similarities in links.items():
            passage = places.get(id)
            if passage is None:
                continue
            closest = max(similarities)
            squares = sum(each * each for each in similarities)
            self._documents[passage.document] = self._documents.get(passage.document, 0.0) + squares
            _raise_to(self._sections, _section(passage), closest)
            for step in (-2, -1, 1, 2):
                _raise_to(self._neighbours, (passage.document, passage.position + step), closest)

    def document(self, passage: Passage) -> float:
        return self._documents.get(passage.document, 0.0)

    def section(self, passage: Passage) -> float:
        return self._sections.get(_section(passage), 0.0)

    def neighbour(self, passage: Passage) -> float:
        return self._neighbours.get((passage.document, passage.position), 0.0)


def _section(passage: Passage) -> tuple[str, ...]:
    return (passage.document, *passage.headings[:-1])


def _raise_to(values: dict[Any, float], key: Any, value: float) -> None:
    values[key] = max(values.get(key, 0.0), value)


def _best(hits: Sequence[Hit], feature: str) -> float:
    return max((hit.features.get(feature, 0.0) for hit in hits), default=0.0) or 1.0


class LearnedRanker:
    """A version's learned order, opened with its index."""

    def __init__(self, field: QuestionField, trees: Trees) -> None:
        self.field, self._trees = field, trees

    def around(self, question: str, reader: Reader) -> Neighbours:
        """The learned questions that this one is close to."""
        return self.field.of(reader).around(question)

    def rank(self, near: Neighbours, hits: Sequence[Hit], reader: Reader) -> list[Hit]:
        """The candidates, best first; the score is the estimated chance of being right."""
        field = self.field.of(reader)
        of = candidates(field, near, hits)
        return ordered(of, self._trees.score(features(field, near, of)))

    @property
    def questions(self) -> tuple[Example, ...]:
        """What it learned from."""
        return self.field.questions

    def without(self, ids: frozenset[str]) -> LearnedRanker:
        """The same trees, and a question field that does not know these questions: an exam must
        not be sat with its own answers at hand."""
        left = [each for each in self.questions if each.id not in ids]
        return LearnedRanker(QuestionField(left, self.field.index), self._trees)

    def save(self, folder: Path) -> None:
        """The questions as JSON lines, the trees as arrays."""
        with (folder / "questions.jsonl").open("w", encoding="utf-8") as file:
            for each in self.questions:
                # What orders passages needs neither the answer nor who gave it.
                kept = replace(each, answer="", evidence=(), user="")
                file.write(json.dumps(to_json(kept), ensure_ascii=False) + "\n")
        self._trees.save(folder / "trees.npz")

    @classmethod
    def load(cls, folder: Path, index: PassageIndex) -> LearnedRanker:
        """What `save` wrote, for the index that it was fitted on."""
        return cls(QuestionField(read_questions(folder), index), Trees.load(folder / "trees.npz"))


def read_questions(folder: Path) -> list[Example]:
    """What a saved ranker learned from."""
    with (folder / "questions.jsonl").open(encoding="utf-8", newline="\n") as lines:
        return [from_json(Example, json.loads(line)) for line in lines]


def ordered(of: Sequence[Candidate], log_odds: Floats) -> list[Hit]:
    """The candidates as hits, best first, by their chance."""
    chances = 1 / (1 + np.exp(-log_odds.clip(-30, 30)))
    ranked = [
        Hit(passage=each.passage, score=chance, features={"chance": chance})
        for each, chance in zip(of, chances.tolist(), strict=True)
    ]
    return sorted(ranked, key=lambda hit: (-hit.score, hit.passage.id))
