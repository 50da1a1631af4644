"""Passages that were found lately: read once, and forgotten in the order of their last use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flywheel.records import Passage
from flywheel.search.recent import RecentPassages


def passage(row: int) -> Passage:
    return Passage(
        id=str(row),
        document="d",
        title="手册",
        headings=(),
        text="锁 lock",
        language="mixed",
        position=row,
    )


class Rows:
    """What an index reads, and which rows it was asked for."""

    def __init__(self) -> None:
        self.read: list[list[int]] = []

    def __call__(self, rows: Sequence[int]) -> Iterator[tuple[int, Passage]]:
        self.read.append(list(rows))
        return ((row, passage(row)) for row in reversed(rows))


def test_each_row_is_read_once() -> None:
    rows = Rows()
    recent = RecentPassages(rows)
    assert recent.of([3, 1]) == {1: passage(1), 3: passage(3)}
    assert recent.of([1, 2, 3]) == {1: passage(1), 2: passage(2), 3: passage(3)}
    assert recent.of([]) == {}
    assert rows.read == [[3, 1], [2]]


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    rows = Rows()
    recent = RecentPassages(rows, num_kept=2)
    for asked in ([1, 2], [1], [3], [1], [2]):
        recent.of(asked)
    assert rows.read == [[1, 2], [3], [2]]


def test_more_rows_than_are_kept_are_all_given() -> None:
    recent = RecentPassages(Rows(), num_kept=2)
    assert list(recent.of(range(5))) == [4, 3, 2, 1, 0]
