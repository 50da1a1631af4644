"""Sparse vectors: the compact forms give what plain dense arithmetic gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import NUM_BUCKETS
from flywheel.search.vectors import (
    Projector,
    TermMatrix,
    TermVectors,
    VectorWriter,
    aligned,
    stacked,
)

Ints = npt.NDArray[np.int64]

TERMS = st.lists(st.integers(0, 30) | st.integers(0, NUM_BUCKETS - 1), unique=True, max_size=12)
ROWS = st.lists(TERMS, min_size=1, max_size=6)


def terms(values: list[int]) -> Ints:
    return np.array(sorted(values), dtype=np.int64)


def weigh(of: Ints) -> npt.NDArray[np.float64]:
    return (1 + of % 7).astype(np.float64)


def dense(of: list[int]) -> dict[int, float]:
    """The unit vector of a row, by hand."""
    weights = {term: 1.0 + term % 7 for term in of}
    norm = sum(each**2 for each in weights.values()) ** 0.5
    return {term: weight / norm for term, weight in weights.items()}


def product(one: dict[int, float], other: dict[int, float]) -> float:
    return sum(weight * other.get(term, 0.0) for term, weight in one.items())


@given(ROWS, TERMS)
def test_products_are_those_of_the_dense_vectors(rows: list[list[int]], other: list[int]) -> None:
    matrix = stacked([terms(row) for row in rows], weigh)
    asked, weights = terms(other), weigh(terms(other))
    expected = [
        product(dense(row), dict(zip(asked.tolist(), weights.tolist(), strict=True)))
        for row in rows
    ]
    assert np.allclose(TermMatrix(matrix).products(asked, weights), expected)
    assert np.allclose(Projector(matrix).products(asked, weights), expected)


@given(ROWS, TERMS, TERMS)
def test_a_projection_leaves_nothing_for_the_next(
    rows: list[list[int]], first: list[int], second: list[int]
) -> None:
    projector = Projector(stacked([terms(row) for row in rows], weigh))
    alone = projector.held(terms(second), weigh(terms(second)))
    projector.held(terms(first), weigh(terms(first)))
    assert np.array_equal(projector.held(terms(second), weigh(terms(second))), alone)


@given(ROWS, TERMS)
def test_what_is_held_counts_the_terms_of_a_row_whatever_their_weight_in_it(
    rows: list[list[int]], other: list[int]
) -> None:
    projector = Projector(stacked([terms(row) for row in rows], weigh))
    expected = [sum(1.0 + term % 7 for term in set(row) & set(other)) for row in rows]
    assert np.allclose(projector.held(terms(other), weigh(terms(other))), expected)


@given(ROWS)
def test_kernel_and_sums_are_those_of_the_dense_vectors(rows: list[list[int]]) -> None:
    matrix = TermMatrix(stacked([terms(row) for row in rows], weigh))
    places = np.arange(len(rows))[::-1]
    vectors = [dense(rows[place]) for place in places]
    expected = [[product(one, other) for other in vectors] for one in vectors]
    assert np.allclose(matrix.kernel(places), expected)
    shares = np.arange(1.0, len(rows) + 1)
    total = matrix.summed(places, shares)
    assert np.allclose(
        total,
        [
            sum(share * each.get(term, 0.0) for share, each in zip(shares, vectors, strict=True))
            for term in matrix.terms.tolist()
        ],
    )


@given(TERMS, TERMS)
def test_aligned_weights_are_those_of_the_same_term_or_none(
    held: list[int], wanted: list[int]
) -> None:
    of = terms(held)
    expected = [1.0 + term % 7 if term in held else 0.0 for term in wanted]
    assert aligned(of, weigh(of), np.array(wanted, dtype=np.int64)).tolist() == expected


def test_means_are_of_the_passages_that_the_index_holds(tmp_path: Path) -> None:
    frequencies = Frequencies.empty()
    writer = VectorWriter()
    for id, each in (("a", [1, 2]), ("b", [2, 3]), ("c", [4])):
        writer.add(id, terms(each))
        frequencies.add(terms(each))
    writer.save(tmp_path)
    means = TermVectors(tmp_path, frequencies).means([["a"], ["a", "b"], [], ["gone", "c"]])
    of_a, of_b, of_c = (
        means_of(frequencies, each) for each in (terms([1, 2]), terms([2, 3]), terms([4]))
    )
    asked = np.array([1, 2, 3, 4])
    ones = np.ones(4)
    assert np.allclose(
        means.products(asked, ones), [of_a.sum(), (of_a.sum() + of_b.sum()) / 2, 0, of_c.sum() / 2]
    )


def means_of(frequencies: Frequencies, of: Ints) -> npt.NDArray[np.float64]:
    weights = frequencies.idf(of)
    return weights / np.linalg.norm(weights)
