"""The order that a version learned from feedback: features of each candidate, and trees over them.

Questions that led to a passage are a searched field of it: what is close to them finds it, even
where no word agrees. A question never sees its own feedback while the trees are fitted, and a
reader only profits from questions that he may see.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.records import Example, Hit, Passage, from_json, to_json
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.rank import name_terms
from flywheel.search.terms import NUM_BUCKETS, term_ids
from flywheel.search.vectors import stacked

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

NUM_SIMILAR = 60
"""Learned questions that a new one is compared with for candidates."""
NUM_PREDICTING = 30
"""Those whose passages say what the right passage would look like."""

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
    "predicted",
    "cosine",
    "coverage",
    "named",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A passage that may answer: found by the search, or by a learned question."""

    passage: Passage
    hit: Hit | None


class Trees:
    """Gradient-boosted regression trees, as arrays; the sum of one leaf of each.

    T trees of at most N nodes: `feature`, `left`, `right` are int32 [T, N], `threshold` and
    `value` float64 [T, N]; a leaf is its own child. Depth is that of the deepest tree.
    """

    def __init__(self, arrays: dict[str, npt.NDArray[np.float64]], depth: int) -> None:
        self._arrays, self._depth = arrays, depth
        self._feature = arrays["feature"].astype(np.int64)
        self._left = arrays["left"].astype(np.int64)
        self._right = arrays["right"].astype(np.int64)

    def score(self, features: Floats) -> Floats:
        """features float64 [C, F] → the log odds of each candidate, float64 [C]."""
        trees = np.arange(len(self._feature))
        nodes = np.zeros((len(features), len(trees)), dtype=np.int64)
        rows = np.arange(len(features))[:, None]
        for _ in range(self._depth):
            goes_left = (
                features[rows, self._feature[trees, nodes]]
                <= self._arrays["threshold"][trees, nodes]
            )
            nodes = np.where(goes_left, self._left[trees, nodes], self._right[trees, nodes])
        scores: Floats = self._arrays["value"][trees, nodes].sum(axis=1)
        return scores

    def save(self, path: Path) -> None:
        """Plain arrays, no pickle."""
        np.savez(path, depth=np.array(self._depth), **self._arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Trees:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files if name != "depth"}
            return cls(arrays, int(data["depth"]))


class QuestionField:
    """The learned questions, ready to be compared with a new one."""

    def __init__(self, questions: Sequence[Example], index: PassageIndex) -> None:
        self.questions = tuple(questions)
        self._index = index
        asked = [term_ids(each.question) for each in questions]
        self._asked_before = Frequencies.empty()
        for terms in asked:
            self._asked_before.add(terms)
        self._matrix = stacked(asked, self._weights)
        self._groups = np.array([each.group for each in questions])
        self._trust = np.array([each.weight for each in questions])
        linked = sorted({passage for each in questions for passage in each.passages})
        self._places = {each.id: each for each in index.fetch(linked)}
        self._popularity: dict[str, float] = {}
        for each in questions:
            for passage in each.passages:
                self._popularity[passage] = self._popularity.get(passage, 0.0) + each.weight

    def candidates(
        self, question: str, hits: Sequence[Hit], reader: Reader, without_group: str = ""
    ) -> tuple[list[Candidate], Floats]:
        """What may answer, and its features, float64 [C, len(FEATURES)].

        Args:
            hits: what the search found, best first.
            without_group: questions that count as not learned.
        """
        terms = term_ids(question)
        similarities = self._similarities(terms, reader, without_group)
        closest = np.argsort(-similarities, kind="stable")[:NUM_SIMILAR]
        closest = closest[similarities[closest] > 0]
        links = self._links(closest, similarities)
        found = {hit.passage.id for hit in hits}
        candidates = [Candidate(passage=hit.passage, hit=hit) for hit in hits]
        for id in links:
            passage = self._places.get(id)
            if passage and id not in found and reader.sees(passage):
                candidates.append(Candidate(passage=passage, hit=None))
        if not candidates:
            return [], np.zeros((0, len(FEATURES)))
        own = self._popularity_by(without_group)
        features = self._features(terms, candidates, hits, links, closest, similarities, own)
        return candidates, features

    def _similarities(self, terms: npt.NDArray[np.int64], reader: Reader, without: str) -> Floats:
        # Who counts less must be the closer to lead as far: on legal questions in other words that
        # one user pointed at one wrong article, MRR fell by 0.014 without this, by 0.001 with it.
        similarities: Floats = (self._matrix @ self._asked(terms)) * self._trust
        readable = set(reader.access)
        allowed = np.array([bool(readable & set(each.access)) for each in self.questions])
        similarities[~allowed] = 0.0
        if without:
            similarities[self._groups == without] = 0.0
        return similarities

    def _asked(self, terms: npt.NDArray[np.int64]) -> Floats:
        """The question's unit vector, float64 [NUM_BUCKETS]."""
        weights = self._weights(terms)
        asked = np.zeros(NUM_BUCKETS)
        asked[terms] = weights / max(float(np.linalg.norm(weights)), 1e-9)
        return asked

    def _weights(self, terms: npt.NDArray[np.int64]) -> Floats:
        """What terms weigh between questions: little if usual in passages, or in questions.

        "What can I do if" is rare in statutes and says nothing about a question on them.
        """
        return np.minimum(self._index.frequencies.idf(terms), self._asked_before.idf(terms))

    def _links(
        self, closest: npt.NDArray[np.int64], similarities: Floats
    ) -> dict[str, list[float]]:
        links: dict[str, list[float]] = {}
        for each in closest.tolist():
            for passage in self.questions[each].passages:
                links.setdefault(passage, []).append(float(similarities[each]))
        return links

    def _popularity_by(self, group: str) -> dict[str, float]:
        own: dict[str, float] = {}
        if group:
            for place in np.flatnonzero(self._groups == group).tolist():
                each = self.questions[place]
                for passage in each.passages:
                    own[passage] = own.get(passage, 0.0) + each.weight
        return own

    def _features(
        self,
        terms: npt.NDArray[np.int64],
        candidates: Sequence[Candidate],
        hits: Sequence[Hit],
        links: dict[str, list[float]],
        closest: npt.NDArray[np.int64],
        similarities: Floats,
        own: dict[str, float],
    ) -> Floats:
        around = _Surroundings(links, self._places)
        places = {hit.passage.id: place for place, hit in enumerate(hits)}
        best_words = _best(hits, "words")
        best_characters = _best(hits, "characters")
        best_score = max((hit.score for hit in hits), default=0.0) or 1.0
        strength = best_words / np.sqrt(max(len(terms), 1))
        closest_similarity = float(similarities[closest[0]]) if len(closest) else 0.0
        rows = np.zeros((len(candidates), len(FEATURES)))
        for row, each in zip(rows, candidates, strict=True):
            passage, hit = each.passage, each.hit
            linked = sorted(links.get(passage.id, [0.0]), reverse=True)
            row[:16] = (
                hit.features.get("words", 0.0) / best_words if hit else 0.0,
                hit.features.get("characters", 0.0) / best_characters if hit else 0.0,
                hit.score / best_score if hit else 0.0,
                np.log1p(places.get(passage.id, 150)),
                linked[0],
                sum(linked[:3]),
                sum(each * each for each in linked),
                len(linked) if passage.id in links else 0,
                around.document(passage),
                around.section(passage),
                around.neighbour(passage),
                np.log1p(max(self._popularity.get(passage.id, 0) - own.get(passage.id, 0), 0)),
                np.log1p(len(passage.text)),
                strength,
                closest_similarity,
                np.log1p(len(terms)),
            )
        rows[:, 16:] = self._compared(terms, candidates, closest, similarities)
        return rows

    def _compared(
        self,
        terms: npt.NDArray[np.int64],
        candidates: Sequence[Candidate],
        closest: npt.NDArray[np.int64],
        similarities: Floats,
    ) -> Floats:
        """predicted, cosine, coverage, named; float64 [C, 4].

        predicted: cosine with the passages that the closest questions led to, each weighted by
        its question's squared similarity.
        """
        vectors = self._index.vectors.of_passages([each.passage.id for each in candidates])
        weights = self._index.frequencies.idf(terms)
        total = float(weights.sum()) or 1.0
        asked = np.zeros(NUM_BUCKETS)
        asked[terms] = weights / total
        held = vectors.copy()
        held.data[:] = 1.0
        names = [name_terms(each.passage) for each in candidates]
        owners = np.repeat(np.arange(len(names)), [len(each) for each in names])
        named = np.bincount(owners, asked[np.concatenate(names)], len(names))
        predicted = vectors @ self._predicted(closest, similarities)
        return np.stack([predicted, vectors @ self._asked(terms), held @ asked, named], axis=1)

    def _predicted(self, closest: npt.NDArray[np.int64], similarities: Floats) -> Floats:
        """What the right passage should look like, a unit vector, float64 [NUM_BUCKETS]."""
        leading = [
            (passage, similarities[each] ** 2 / len(self.questions[each].passages))
            for each in closest[:NUM_PREDICTING].tolist()
            for passage in self.questions[each].passages
        ]
        wanted = np.zeros(NUM_BUCKETS)
        if leading:
            led = self._index.vectors.of_passages([passage for passage, _ in leading])
            weights = np.repeat([weight for _, weight in leading], np.diff(led.indptr))
            np.add.at(wanted, led.indices, led.data * weights)
            used = np.unique(led.indices)
            wanted[used] /= max(float(np.linalg.norm(wanted[used])), 1e-9)
        return wanted


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
        self._field, self._trees = field, trees

    def rank(self, question: str, hits: Sequence[Hit], reader: Reader) -> list[Hit]:
        """The candidates, best first; the score is the estimated chance of being right."""
        candidates, features = self._field.candidates(question, hits, reader)
        if not candidates:
            return []
        chances = 1 / (1 + np.exp(-self._trees.score(features)))
        ranked = [
            replace(each.hit, score=chance) if each.hit else Hit(passage=each.passage, score=chance)
            for each, chance in zip(candidates, chances.tolist(), strict=True)
        ]
        return sorted(ranked, key=lambda hit: (-hit.score, hit.passage.id))

    def save(self, folder: Path) -> None:
        """The questions as JSON lines, the trees as arrays."""
        with (folder / "questions.jsonl").open("w", encoding="utf-8") as file:
            for each in self._field.questions:
                # What orders passages needs neither the answer nor who gave it.
                kept = replace(each, answer="", user="")
                file.write(json.dumps(to_json(kept), ensure_ascii=False) + "\n")
        self._trees.save(folder / "trees.npz")

    @classmethod
    def load(cls, folder: Path, index: PassageIndex) -> LearnedRanker:
        """What `save` wrote, for the index that it was fitted on."""
        lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        questions = [from_json(Example, json.loads(line)) for line in lines]
        return cls(QuestionField(questions, index), Trees.load(folder / "trees.npz"))
