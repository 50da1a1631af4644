"""The questions that feedback answered: those a new one is close to, and what they tell of it.

A question that led to a passage is a searched field of that passage: what is close to it finds
the passage, even where no word agrees. A reader profits only from what he may see.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flywheel.records import Example, Passage
from flywheel.search.blas import on_one_thread
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import MOST_READERS, PassageIndex, Reader, Statistics, remembered
from flywheel.search.terms import term_ids
from flywheel.search.vectors import TermMatrix, stacked

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.terms import TermIds

    Floats = npt.NDArray[np.float64]

NUM_NEIGHBOURS = 150
"""Questions that a new one is explained by; more cost time and change nothing."""
RIDGE = 1.0
"""What an example's own noise weighs beside its likeness to others. 0.3 and 3 rank a little
worse; what a user's word weighs less is so much noisier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbours:
    """A question beside the M learned ones that are closest to it, the closest first."""

    question: str
    terms: TermIds
    weights: Floats
    """The question's unit vector over its terms."""
    places: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    """Of what taught them, in this order."""
    similarities: Floats
    """Cosines, each times what its user's word weighs, all above 0, float64 [M]."""
    shares: Floats
    """How much of what each of them led to is expected here, float64 [M]; may be below 0."""
    group: str = ""
    """What counts as not learned: the question's own group while fitting."""


MOST_VIEWS = 16
"""Views that are kept: each takes as much memory as the questions do."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What tells one view from another, whoever has it."""

    labels: frozenset[str]
    """Of those that questions carry."""
    gone: frozenset[str]
    """Passages that may not be seen."""
    statistics: Statistics
    """Of the passages that may."""


class QuestionField:
    """The learned questions, ready to be compared with a new one by a reader who may see all."""

    def __init__(
        self,
        questions: Sequence[Example],
        index: PassageIndex,
        statistics: Statistics | None = None,
    ) -> None:
        """
        Args:
            statistics: of the passages that may be seen; None is all of the index.
        """
        on_one_thread()
        self.questions = tuple(questions)
        self.index = index
        self.statistics = statistics or index.statistics
        asked = [term_ids(each.question) for each in questions]
        self._asked_before = Frequencies.empty()
        for terms in asked:
            self._asked_before.add(terms)
        self._asked = TermMatrix(stacked(asked, self._weights))
        self._groups = np.array([each.group for each in questions], dtype=object)
        self._trust = np.array([each.weight for each in questions], dtype=np.float64)
        named = {id for each in questions for id in (*each.passages, *each.rejected)}
        self.passages: dict[str, Passage] = {each.id: each for each in index.fetch(sorted(named))}
        self._led_to = self.statistics.vectors.means([each.passages for each in questions])
        self._labels = frozenset(label for each in questions for label in each.access)
        self._sights: dict[Reader, _Sight] = {}
        self._views: dict[_Sight, QuestionField] = {}
        self._popularity = _popularity(questions)

    def of(self, reader: Reader) -> QuestionField:
        """What of it this reader may see, as if no more had been learned: neither a question nor a
        passage that is hidden from him has a say in what he is shown."""
        sight = remembered(self._sights, reader, self._sight_of, MOST_READERS)
        return remembered(self._views, sight, self._seen_with, MOST_VIEWS)

    def _sight_of(self, reader: Reader) -> _Sight:
        gone = (id for id, passage in self.passages.items() if not reader.sees(passage))
        labels = self._labels.intersection(reader.access)
        return _Sight(labels, frozenset(gone), self.index.of(reader))

    def _seen_with(self, sight: _Sight) -> QuestionField:
        labels, gone = sight.labels, sight.gone
        left = [each for each in self.questions if not labels.isdisjoint(each.access)]
        if gone:
            left = [
                replace(
                    each,
                    passages=tuple(id for id in each.passages if id not in gone),
                    rejected=tuple(id for id in each.rejected if id not in gone),
                )
                for each in left
                if not gone.issuperset((*each.passages, *each.rejected))
            ]
        is_all = not gone and len(left) == len(self.questions)
        is_all = is_all and sight.statistics is self.statistics
        return self if is_all else QuestionField(left, self.index, sight.statistics)

    def around(self, question: str, without_group: str = "") -> Neighbours:
        """The learned questions closest to this one.

        Their shares solve (K + N) s = k, with K the cosines among them, k those with the question
        and N the noise: kernel ridge regression, which does not count twice what two alike
        questions both say (Saunders, Gammerman and Vovk, ICML 1998).

        Args:
            without_group: questions that count as not learned.
        """
        terms = term_ids(question)
        weights = self._weights(terms)
        weights = weights / max(float(np.linalg.norm(weights)), 1e-9)
        # Who counts less must be the closer to lead as far.
        similarities = self._asked.products(terms, weights) * self._trust
        if without_group:
            similarities[self._groups == without_group] = 0.0
        closest = np.argsort(-similarities, kind="stable")[:NUM_NEIGHBOURS]
        closest = closest[similarities[closest] > 1e-9]
        kernel = self._asked.kernel(closest) + np.diag(RIDGE / self._trust[closest])
        return Neighbours(
            question=question,
            terms=terms,
            weights=weights,
            places=closest,
            ids=tuple(self.questions[place].id for place in closest.tolist()),
            similarities=similarities[closest],
            shares=np.linalg.solve(kernel, similarities[closest] / self._trust[closest]).astype(
                np.float64
            ),
            group=without_group,
        )

    def led_to(self, near: Neighbours, weights: Floats) -> tuple[TermIds, Floats]:
        """What the right passage should look like: terms, and the weight of each, often 0.

        Args:
            weights: of the first of the neighbours, as many as there are.
        """
        return self._led_to.terms, self._led_to.summed(near.places[: len(weights)], weights)

    def popularity(self, near: Neighbours) -> Mapping[str, float]:
        """How many questions led to each passage, by what their users' words weigh; without those
        that count as not learned."""
        if not near.group:
            return self._popularity
        places = np.flatnonzero(self._groups == near.group).tolist()
        own = _popularity([self.questions[place] for place in places])
        left = {id: max(self._popularity[id] - number, 0.0) for id, number in own.items()}
        return ChainMap(left, self._popularity)

    def _weights(self, terms: TermIds) -> Floats:
        """What terms weigh between questions: little if usual in passages, or in questions.

        "What can I do if" is rare in statutes and says nothing about a question on them.
        """
        return np.minimum(self.statistics.frequencies.idf(terms), self._asked_before.idf(terms))


def _popularity(questions: Sequence[Example]) -> dict[str, float]:
    popularity: dict[str, float] = {}
    for each in questions:
        for passage in each.passages:
            popularity[passage] = popularity.get(passage, 0.0) + each.weight
    return popularity
