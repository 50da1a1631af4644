"""Ranking: ties, names, and the merge of two orders."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.records import Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.rank import rank
from flywheel.search.terms import term_ids


def hit(id: str, *headings: str, **features: float) -> Hit:
    passage = Passage(
        id=id,
        document="d",
        title="Manual",
        headings=headings,
        text="text",
        language="en",
        position=0,
    )
    return Hit(passage=passage, score=sum(features.values()), features=features)


@pytest.fixture(scope="module")
def frequencies() -> Frequencies:
    counts = Frequencies.empty()
    for text in ("Manual Wipers", "Manual Child lock", "Manual", "手册 儿童锁"):
        counts.add(term_ids(text))
    return counts


def order(question: str, hits: list[Hit], frequencies: Frequencies) -> list[str]:
    return [each.passage.id for each in rank(question, hits, frequencies)]


def test_nothing_found_is_nothing_ranked(frequencies: Frequencies) -> None:
    assert rank("lock", [], frequencies) == []


def test_higher_scores_come_first(frequencies: Frequencies) -> None:
    hits = [hit("a", words=1.0), hit("b", words=2.0, characters=3.0), hit("c", characters=4.0)]
    assert order("x", hits, frequencies) == ["b", "c", "a"]


def test_ties_go_by_id_whatever_order_they_come_in(frequencies: Frequencies) -> None:
    hits = [hit(id, words=1.0) for id in ("b", "a", "c")]
    assert {tuple(order("x", list(each), frequencies)) for each in permutations(hits)} == {
        ("a", "b", "c")
    }


@pytest.mark.parametrize(
    ("question", "heading"), [("How does the child lock work?", "Child lock"), ("兒童鎖", "儿童锁")]
)
def test_a_passage_that_the_question_names_goes_ahead(
    question: str, heading: str, frequencies: Frequencies
) -> None:
    hits = [hit("a", "Wipers", words=5.0), hit("b", heading, words=4.9)]
    assert order(question, hits, frequencies) == ["b", "a"]


def test_a_name_does_not_outweigh_a_much_better_match(frequencies: Frequencies) -> None:
    hits = [hit("a", "Wipers", words=5.0), hit("b", "Child lock", words=2.0)]
    assert order("child lock", hits, frequencies) == ["a", "b"]


def test_a_passage_without_a_name_ranks_by_its_text(frequencies: Frequencies) -> None:
    nameless = Passage(
        id="n", document="d", title="", headings=(), text="lock", language="en", position=0
    )
    hits = [hit("a", words=1.0), Hit(passage=nameless, score=2.0, features={"words": 2.0})]
    assert order("lock", hits, frequencies) == ["n", "a"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_ranking_loses_nothing_and_scores_fall(scores: list[float]) -> None:
    hits = [hit(f"{place:02}", words=score) for place, score in enumerate(scores)]
    ranked = rank("lock", hits, Frequencies.empty())
    assert sorted(each.passage.id for each in ranked) == [each.passage.id for each in hits]
    assert all(one.score >= other.score for one, other in pairwise(ranked))
    assert all(each.features == hits[int(each.passage.id)].features for each in ranked)


def test_what_both_searches_found_comes_first(frequencies: Frequencies) -> None:
    hits = [
        hit("words", words=9.0),
        hit("both", words=8.0, similarity=0.8),
        hit("meaning", similarity=0.9),
    ]
    assert order("x", hits, frequencies) == ["both", "meaning", "words"]


def test_an_order_says_nothing_of_what_its_search_did_not_find(frequencies: Frequencies) -> None:
    found = [hit("z", words=9.0), *(hit(f"m{i}", similarity=0.9 - i / 100) for i in range(9))]
    ranked = rank("x", [*found, hit("a", similarity=0.5)], frequencies)
    assert ranked[0].score == ranked[1].score
    assert {ranked[0].passage.id, ranked[1].passage.id} == {"m0", "z"}
    assert ranked[-1].passage.id == "a"
