"""What two sequences have in common, whatever they are."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from flywheel.wheel.documents.alignment import blocks, opcodes


def length(one: Sequence[str], two: Sequence[str]) -> int:
    """Of the longest that both have, by the table that every textbook has."""
    row = [0] * (len(two) + 1)
    for each in one:
        before, row = row, [0]
        for place, other in enumerate(two):
            alike = before[place] + 1 if each == other else 0
            row.append(max(alike, before[place + 1], row[place]))
    return row[-1]


@pytest.mark.parametrize("letters", ["ab", "abcde"])
def test_longest_that_both_have_is_found(letters: str) -> None:
    draws = random.Random(1)
    for _ in range(500):
        one = draws.choices(letters, k=draws.randrange(15))
        two = draws.choices(letters, k=draws.randrange(15))
        found = blocks(one, two)
        assert sum(size for *_, size in found) == length(one, two)
        assert all(one[at : at + n] == two[other : other + n] for at, other, n in found)


def test_pieces_make_up_both_sides() -> None:
    one, two = ["the", "red", "door", "opens"], ["a", "red", "door", "never", "opens", "wide"]
    told = list(opcodes(one, two))
    assert [one[start:end] for _, start, end, _, _ in told if start < end] == [
        ["the"], ["red", "door"], ["opens"],
    ]  # fmt: skip
    assert [each for *_, start, end in told for each in two[start:end]] == two
    assert [differs for differs, *_ in told] == [True, False, True, False, True]


def test_what_is_equal_or_empty_is_one_piece_or_none() -> None:
    assert list(opcodes("abc", "abc")) == [(False, 0, 3, 0, 3)]
    assert list(opcodes("", "ab")) == [(True, 0, 0, 0, 2)]
    assert list(opcodes("", "")) == []
