"""Frequencies: what is counted, what it weighs, and that it comes back from disk the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import NUM_BUCKETS, term_ids

TEXTS = ["the brake warning lamp", "the brake pedal", "the horn", "制动踏板", "制动灯"]


def counted(texts: list[str]) -> Frequencies:
    frequencies = Frequencies.empty()
    for text in texts:
        frequencies.add(term_ids(text))
    return frequencies


def weight(frequencies: Frequencies, word: str) -> float:
    return float(frequencies.idf(term_ids(word))[0])


def test_rarer_terms_weigh_more() -> None:
    frequencies = counted(TEXTS)
    weights = [weight(frequencies, word) for word in ("the", "brake", "horn", "gearbox")]
    assert weights == sorted(weights)
    assert len(set(weights)) == 4


@given(st.lists(st.integers(0, 50), min_size=1, max_size=50))
def test_weight_falls_as_a_term_spreads_and_stays_above_zero(counts: list[int]) -> None:
    table = np.zeros(NUM_BUCKETS, dtype=np.uint32)
    table[: len(counts)] = sorted(counts)
    weights = Frequencies(table, 50).idf(np.arange(len(counts)))
    assert (weights > 0).all()
    assert (np.diff(weights) <= 0).all()


def test_a_term_counts_once_a_passage() -> None:
    assert weight(counted(["lock lock lock", "door"]), "lock") == weight(
        counted(["lock", "door"]), "lock"
    )


def test_terms_that_no_passage_holds_are_unknown() -> None:
    known = counted(TEXTS).known(np.concatenate([term_ids("horn"), term_ids("gearbox")]))
    assert known.tolist() == [True, False]


def test_empty_counts_weigh_too() -> None:
    frequencies = Frequencies.empty()
    assert weight(frequencies, "lock") > 0
    assert frequencies.idf(term_ids("")).size == 0


def test_saved_counts_come_back(tmp_path: Path) -> None:
    frequencies = counted(TEXTS)
    frequencies.save(tmp_path)
    loaded = Frequencies.load(tmp_path)
    terms = term_ids("the brake horn gearbox 制动踏板")
    assert loaded.num_passages == len(TEXTS)
    assert np.array_equal(loaded.idf(terms), frequencies.idf(terms))
    assert np.array_equal(loaded.known(terms), frequencies.known(terms))
