"""What two sequences have in common, in their order: the longest such, told as blocks.

Each row of the table of lengths is one whole number, a bit an element, as Hyyrö has it (2004). So
it takes as long for two texts that somebody wrote to keep a server busy as for any others, where
difflib takes the cube of their length. Not here: what is compared, and how that is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence


def opcodes(
    one: Sequence[Hashable], two: Sequence[Hashable]
) -> Iterator[tuple[bool, int, int, int, int]]:
    """What is equal and what differs by turns: whether it differs, and the bounds in both."""
    end, other_end = 0, 0
    for start, other_start, size in [*blocks(one, two), (len(one), len(two), 0)]:
        if (end, other_end) != (start, other_start):
            yield True, end, start, other_end, other_start
        end, other_end = start + size, other_start + size
        if size:
            yield False, start, end, other_start, other_end


def blocks(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """What both have, in runs as long as they can be: where each begins in both, and its length."""
    first = _num_shared(one, two)
    last = _num_shared(one[first:][::-1], two[first:][::-1])
    middle = one[first : len(one) - last], two[first : len(two) - last]
    pairs = [(place, place) for place in range(first)]
    pairs += [(first + at, first + other) for at, other in _pairs(*middle)]
    pairs += [(len(one) - left, len(two) - left) for left in range(last, 0, -1)]
    found: list[tuple[int, int, int]] = []
    for at, other in pairs:
        start, other_start, size = found[-1] if found else (-1, -1, 0)
        if found and (start + size, other_start + size) == (at, other):
            found[-1] = start, other_start, size + 1
        else:
            found.append((at, other, 1))
    return found


def _pairs(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The places of what both have."""
    places: defaultdict[Hashable, int] = defaultdict(int)
    for at, each in enumerate(one):
        places[each] |= 1 << at
    every = (1 << len(one)) - 1
    # A bit that is not set: with this element of `one` more is in common than without it.
    row, rows = every, list[int]()
    for each in two:
        shared = row & places.get(each, 0)
        row = ((row + shared) | (row - shared)) & every
        rows.append(row)
    found = []
    at, other = len(one), len(two)
    while at and other:
        if rows[other - 1] >> (at - 1) & 1:
            at -= 1
            continue
        other -= 1
        if not other or rows[other - 1] >> (at - 1) & 1:
            at -= 1
            found.append((at, other))
    return found[::-1]


def _num_shared(one: Sequence[Hashable], two: Sequence[Hashable]) -> int:
    """How many elements they begin with alike."""
    shared = 0
    for left, right in zip(one, two, strict=False):
        if left != right:
            break
        shared += 1
    return shared
